"""The settings of a Salesforce connection."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.settings import ConnectionSettings, Settings, is_loopback

SOAP_LOGIN_ENDS = 65
"""From API version 65 on there is no log-in with user name, password and security token."""


class ClientCredentials(Settings):
    """OAuth client credentials of a connected app, run as the app's own user."""

    flow: Literal["client_credentials"]
    client_id: str = Field(description="Consumer key of the connected app.")
    client_secret: SecretStr = Field(description="Consumer secret of the connected app.")


class Jwt(Settings):
    """OAuth JWT bearer: a user who approved the connected app, proven by a private key."""

    flow: Literal["jwt"]
    client_id: str = Field(description="Consumer key of the connected app.")
    username: str = Field(description="The integration user's name.")
    private_key: SecretStr = Field(description="The app's RSA private key, as PEM text.")


class Password(Settings):
    """User name, password and security token; works up to API version 64.0."""

    flow: Literal["password"]
    username: str = Field(description="The integration user's name.")
    password: SecretStr = Field(description="The user's password.")
    security_token: SecretStr = Field(description="The user's security token.")


class Session(Settings):
    """A session made elsewhere; it cannot be renewed when it ends."""

    flow: Literal["session"]
    session_id: SecretStr = Field(description="Access token or session id.")


Auth = Annotated[ClientCredentials | Jwt | Password | Session, Field(discriminator="flow")]


class SalesforceSettings(ConnectionSettings):
    """A connection to one Salesforce org."""

    kind: Literal["salesforce"]
    url: str = Field(description="My Domain address: https://acme.my.salesforce.com.")
    auth: Auth = Field(description="How to log in.")
    api_version: str = Field(
        "64.0",
        pattern=r"^\d{2}\.0$",
        description="REST API version; log-in by password does not exist from 65.0 on.",
    )
    assignment_rules: bool = Field(
        False, description="Let the org's lead assignment rules run when leadgauge writes."
    )
    duplicate_rules: bool = Field(
        False, description="Let the org's alerting duplicate rules refuse what leadgauge writes."
    )
    history: bool = Field(
        False,
        description="Read the history of tracked fields, so that scores as of a date before the "
        "first sync go by the values of then.",
    )

    @field_validator("url")
    @classmethod
    def _an_api_host(cls, url: str) -> str:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host.endswith(".lightning.force.com"):
            raise ValueError(
                "this is the address of the user interface: give the API's, "
                f"https://{host.removesuffix('.lightning.force.com')}.my.salesforce.com"
            )
        if is_loopback(url):
            if parts.scheme not in ("http", "https"):
                raise ValueError("give an address that starts with https:// or http://")
        elif parts.scheme != "https" or not host.endswith(".salesforce.com"):
            raise ValueError("give the My Domain address: https://<name>.my.salesforce.com")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _a_login_that_exists(self) -> Self:
        if self.auth.flow == "password" and float(self.api_version) >= SOAP_LOGIN_ENDS:
            raise ValueError(
                f"log-in by password does not exist in API version {self.api_version}: "
                "set api_version to 64.0, or use flow client_credentials or jwt"
            )
        if self.auth.flow == "client_credentials" and self.domain in ("login", "test"):
            raise ValueError(
                "client credentials need the org's My Domain address as url, "
                "such as https://acme.my.salesforce.com"
            )
        return self

    @property
    def domain(self) -> str:
        """What stands before `.salesforce.com` in the address: `acme.my`, `login` ..."""
        host = urlsplit(self.url).hostname or ""
        return "loopback.my" if is_loopback(self.url) else host.removesuffix(".salesforce.com")
