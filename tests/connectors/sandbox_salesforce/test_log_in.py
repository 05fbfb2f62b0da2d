"""Logging in to the Salesforce face: every flow, its refusals, and sessions that end."""

from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceRefusedRequest,
)

from connectors.sandbox.http import Server
from connectors.sandbox.salesforce.face import SalesforceFace
from connectors.sandbox.salesforce.sessions import Credentials
from tests.connectors.sandbox_salesforce.world import OAUTH, SOAP, Loopback, World, refusal


@pytest.mark.parametrize(
    "credentials",
    [
        SOAP,
        {**SOAP, "security_token": None, "organizationId": "00D000000000001"},
        {"username": SOAP["username"], "password": "sandbox-passwordsandbox-token", **OAUTH},
        {**OAUTH, "domain": "acme.my"},
    ],
    ids=["soap", "soap-organization", "password-grant", "client-credentials"],
)
def test_log_in(world: World, credentials: dict[str, Any]) -> None:
    """Every flow but JWT ends in a session that works, without costing a call."""
    client = world.client(**credentials)
    assert client.query("SELECT COUNT() FROM Lead")["totalSize"] == 0
    assert world.face.used == 1


def test_log_in_by_jwt(world: World) -> None:
    """An assertion is checked against the public key, and refused without one."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    login = {**SOAP, "consumer_key": "sandbox-client", "privatekey": private}
    del login["password"], login["security_token"]
    with (
        pytest.warns(UserWarning, match="authorize this"),
        pytest.raises(SalesforceAuthenticationFailed) as refused,
    ):
        world.client(**login)
    assert refused.value.code == "invalid_grant"
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    stranger = other.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    face = SalesforceFace(world.crm, credentials=Credentials(jwt_public_key=public.decode()))
    with Server(face) as server:
        session = Loopback(server.url)
        assert Salesforce(session=session, **login).limits()["DailyApiRequests"]["Max"] == 100_000
        with pytest.raises(SalesforceAuthenticationFailed, match="invalid assertion"):
            Salesforce(session=session, **{**login, "privatekey": stranger})
        with (
            pytest.warns(UserWarning, match="authorize this"),
            pytest.raises(SalesforceAuthenticationFailed),
        ):
            Salesforce(session=session, **{**login, "username": "nobody@sandbox.example"})


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        ({**SOAP, "password": "wrong"}, "INVALID_LOGIN"),
        ({**SOAP, "username": "nobody@x.example"}, "INVALID_LOGIN"),
        ({**SOAP, "security_token": ""}, "LOGIN_MUST_USE_SECURITY_TOKEN"),
        ({**OAUTH, "consumer_secret": "wrong", "domain": "acme.my"}, "invalid_client"),
        ({**OAUTH, "consumer_key": "wrong", "domain": "acme.my"}, "invalid_client_id"),
        ({**OAUTH, "username": SOAP["username"], "password": "wrong"}, "invalid_grant"),
    ],
)
def test_wrong_credentials(world: World, credentials: dict[str, Any], code: str) -> None:
    """Each wrong credential is refused with Salesforce's code."""
    with pytest.raises(SalesforceAuthenticationFailed) as refused:
        world.client(**credentials)
    assert refused.value.code == code


def test_client_credentials_need_a_domain(world: World) -> None:
    """The service refuses client credentials at login.salesforce.com."""
    reply = Loopback(world.server.url).post(
        "https://login.salesforce.com/services/oauth2/token",
        data={"grant_type": "client_credentials"},
        auth=(OAUTH["consumer_key"], OAUTH["consumer_secret"]),
    )
    assert reply.status_code == 400
    assert reply.json() == {
        "error": "invalid_grant",
        "error_description": "request not supported on this domain",
    }


def test_soap_login_is_gone_from_version_65(world: World) -> None:
    """SOAP login() exists up to API version 64."""
    with pytest.raises(SalesforceAuthenticationFailed, match="not available"):
        Salesforce(session=Loopback(world.server.url), version="65.0", **SOAP)


def test_api_disabled(world: World) -> None:
    """An edition without the API refuses the SOAP log-in, and the calls of other sessions."""
    client = world.client(**OAUTH, domain="acme.my")
    world.face.sessions.api_enabled = False
    with pytest.raises(SalesforceRefusedRequest) as refused:
        client.limits()
    assert refusal(refused) == (403, "API_DISABLED_FOR_ORG")
    with pytest.raises(SalesforceAuthenticationFailed) as login:
        world.client()
    assert login.value.code == "API_DISABLED_FOR_ORG"


def test_session_ends_when_idle_and_the_client_logs_in_again(world: World) -> None:
    """A session lives two hours from its last use; a known password opens another."""
    client = world.client()
    direct = world.client(session_id=client.session_id, instance_url="https://acme.my.example")
    for _ in range(3):
        world.now += timedelta(minutes=119)
        assert direct.limits()
    world.now += timedelta(hours=2)
    with pytest.raises(SalesforceExpiredSession) as expired:
        direct.limits()
    assert refusal(expired) == (401, "INVALID_SESSION_ID")
    before = client.session_id
    assert client.limits()
    assert client.session_id != before


def test_soap_log_ins_share_a_session(world: World) -> None:
    """One user's SOAP log-ins have one session; each OAuth log-in has its own."""
    assert world.client().session_id == world.client().session_id
    oauth = [world.client(**OAUTH, domain="acme.my").session_id for _ in range(2)]
    assert oauth[0] != oauth[1]


def test_locator_dies_with_its_session(world: World) -> None:
    """After a new log-in the next page of an old query answers INVALID_SESSION_ID for ever."""
    world.leads(2_001)
    client = world.client()
    page = client.query("SELECT Id FROM Lead")
    world.face.sessions.expire()
    with pytest.raises(SalesforceExpiredSession) as expired:
        client.query_more(page["nextRecordsUrl"], identifier_is_url=True)
    assert refusal(expired) == (401, "INVALID_SESSION_ID")
