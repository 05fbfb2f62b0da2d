"""Logging in to the sandbox: SOAP, and the three OAuth flows; sessions that run out."""

import base64
import hmac
import json
import secrets
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import jwt

from connectors.sandbox.http import Request, Response
from connectors.sandbox.salesforce.errors import JSON_TYPE, api_disabled, expired

ORGANIZATION = "00D000000000001EAA"
SOAP_GONE_FROM = 65.0
"""API version from which SOAP login() does not exist."""
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_INVALID_LOGIN = "Invalid username, password, security token; or user locked out."


@dataclass(frozen=True)
class Credentials:
    """What the sandbox accepts. Without `jwt_public_key` (PEM) it refuses every JWT."""

    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"
    username: str = "integration@sandbox.example"
    password: str = "sandbox-password"
    security_token: str = "sandbox-token"
    jwt_public_key: str | None = None


@dataclass
class Refused(Exception):
    """A log-in that fails: the code and the words of Salesforce."""

    code: str
    message: str


class Sessions:
    """Who is logged in. A session ends when it is not used for `lifetime`."""

    def __init__(
        self,
        credentials: Credentials,
        clock: Callable[[], datetime],
        lifetime: timedelta,
        user_id: Callable[[], str | None],
    ) -> None:
        self.api_enabled = True
        self._credentials = credentials
        self._clock = clock
        self._lifetime = lifetime
        self._user_id = user_id
        self._used: dict[str, datetime] = {}
        self._soap_session = ""

    def require(self, request: Request) -> str:
        """The session of a request. ApiError INVALID_SESSION_ID when it has none that lives."""
        _, _, token = request.headers.get("authorization", "").partition(" ")
        if not self._alive(token):
            raise expired()
        if not self.api_enabled:
            raise api_disabled()
        self._used[token] = self._clock()
        return token

    def expire(self) -> None:
        """End every session now."""
        self._used.clear()

    def soap(self, request: Request, version: str) -> Response:
        """SOAP login(). One user's SOAP log-ins share one session, as in Salesforce."""
        try:
            self._check_soap(request, version)
        except Refused as refused:
            return _soap_fault(refused)
        if not self._alive(self._soap_session):
            self._soap_session = self._open()
        self._used[self._soap_session] = self._clock()
        url = f"https://{request.headers.get('host', '')}/services/Soap/u/{version}/{ORGANIZATION}"
        return _soap(
            200,
            '<loginResponse xmlns="urn:partner.soap.sforce.com"><result>'
            f"<serverUrl>{escape(url)}</serverUrl><sessionId>{self._soap_session}</sessionId>"
            f"<userId>{self._user_id() or ''}</userId></result></loginResponse>",
        )

    def token(self, request: Request) -> Response:
        """The OAuth token endpoint: client credentials, JWT bearer, password."""
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        try:
            self._check_grant(form, request)
        except Refused as refused:
            body = {"error": refused.code, "error_description": refused.message}
            return Response(400, json.dumps(body).encode(), {"Content-Type": JSON_TYPE})
        host = request.headers.get("host", "")
        body = {
            "access_token": self._open(),
            "instance_url": f"https://{host}",
            "id": f"https://{host}/id/{ORGANIZATION}/{self._user_id() or ''}",
            "token_type": "Bearer",
            "issued_at": str(int(self._clock().timestamp() * 1000)),
            "signature": base64.b64encode(secrets.token_bytes(32)).decode(),
            "scope": "api",
        }
        return Response(200, json.dumps(body).encode(), {"Content-Type": JSON_TYPE})

    def _alive(self, token: str) -> bool:
        used = self._used.get(token)
        return used is not None and self._clock() - used < self._lifetime

    def _open(self) -> str:
        token = f"{ORGANIZATION[:15]}!{secrets.token_urlsafe(48)}"
        self._used[token] = self._clock()
        return token

    def _check_soap(self, request: Request, version: str) -> None:
        if float(version) >= SOAP_GONE_FROM:
            raise Refused(
                "UNSUPPORTED_API_VERSION", f"login() is not available in API version {version}"
            )
        if not self.api_enabled:
            disabled = api_disabled()
            raise Refused(disabled.code, disabled.message)
        texts = {e.tag.rpartition("}")[2]: e.text or "" for e in ET.fromstring(request.body).iter()}
        known = self._credentials
        password = texts.get("password", "")
        if texts.get("username") != known.username:
            raise Refused("INVALID_LOGIN", _INVALID_LOGIN)
        # An organization id selects the variant for trusted networks, which takes no token.
        token = "" if "organizationId" in texts else known.security_token
        if _same(password, known.password + token):
            return
        if _same(password, known.password):
            raise Refused("LOGIN_MUST_USE_SECURITY_TOKEN", _INVALID_LOGIN)
        raise Refused("INVALID_LOGIN", _INVALID_LOGIN)

    def _check_grant(self, form: dict[str, str], request: Request) -> None:
        match form.get("grant_type"):
            case "client_credentials":
                self._check_client_credentials(form, request)
            case "password":
                self._check_password(form)
            case grant if grant == _JWT_GRANT:
                self._check_jwt(form.get("assertion", ""))
            case _:
                raise Refused("unsupported_grant_type", "grant type not supported")

    def _check_client_credentials(self, form: dict[str, str], request: Request) -> None:
        host = request.headers.get("host", "").partition(":")[0]
        if host in ("login.salesforce.com", "test.salesforce.com"):
            raise Refused("invalid_grant", "request not supported on this domain")
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            pair = base64.b64decode(encoded).decode().partition(":")
        else:
            pair = (form.get("client_id", ""), ":", form.get("client_secret", ""))
        self._check_client(pair[0], pair[2])

    def _check_client(self, client_id: str, secret: str) -> None:
        if client_id != self._credentials.client_id:
            raise Refused("invalid_client_id", "client identifier invalid")
        if not _same(secret, self._credentials.client_secret):
            raise Refused("invalid_client", "invalid client credentials")

    def _check_password(self, form: dict[str, str]) -> None:
        self._check_client(form.get("client_id", ""), form.get("client_secret", ""))
        known = self._credentials
        passwords = (known.password, known.password + known.security_token)
        given = form.get("password", "")
        if form.get("username") != known.username or not any(_same(given, p) for p in passwords):
            raise Refused("invalid_grant", "authentication failure")

    def _check_jwt(self, assertion: str) -> None:
        known = self._credentials
        if known.jwt_public_key is None:
            raise Refused("invalid_grant", "user hasn't approved this consumer")
        try:
            # `exp` is checked by the machine's clock: the client's library writes it by that.
            claims = jwt.decode(
                assertion,
                known.jwt_public_key,
                algorithms=["RS256"],
                options={"verify_aud": False, "require": ["exp", "iss", "sub", "aud"]},
            )
        except jwt.ExpiredSignatureError as expired:
            raise Refused("invalid_grant", "expired authorization code") from expired
        except jwt.PyJWTError as invalid:
            raise Refused("invalid_grant", "invalid assertion") from invalid
        if claims["iss"] != known.client_id:
            raise Refused("invalid_client_id", "client identifier invalid")
        if claims["sub"] != known.username:
            raise Refused("invalid_grant", "user hasn't approved this consumer")
        if not str(claims["aud"]).endswith(".salesforce.com"):
            raise Refused("invalid_grant", "audience is invalid")


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode(), known.encode())


def _soap(status: int, body: str) -> Response:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
        'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:sf="urn:fault.partner.soap.sforce.com">'
        f"<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    )
    return Response(status, text.encode(), {"Content-Type": "text/xml;charset=UTF-8"})


def _soap_fault(refused: Refused) -> Response:
    code, message = escape(refused.code), escape(refused.message)
    return _soap(
        500,
        f"<soapenv:Fault><faultcode>{code}</faultcode>"
        f"<faultstring>{code}: {message}</faultstring><detail><sf:LoginFault>"
        f"<sf:exceptionCode>{code}</sf:exceptionCode>"
        f"<sf:exceptionMessage>{message}</sf:exceptionMessage>"
        "</sf:LoginFault></detail></soapenv:Fault>",
    )
