"""What config.yaml says of a HubSpot connection."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from connectors.settings import ConnectionSettings, Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class OAuth(Settings):
    """The app and its refresh token, for an access token that is renewed as it expires."""

    client_id: str = Field(description="Client id of the HubSpot app.")
    client_secret: SecretStr = Field(description="Client secret of the HubSpot app.")
    refresh_token: SecretStr = Field(description="Refresh token the account gave the app.")


class HubSpotSettings(ConnectionSettings):
    """A HubSpot account, reached with a private app's token or through OAuth."""

    kind: Literal["hubspot"]
    token: SecretStr | OAuth = Field(
        description="Token of a private app, or {client_id, client_secret, refresh_token}."
    )
    url: str = Field("https://api.hubapi.com", description="Where the API is.")
    concurrency: int = Field(
        4,
        ge=1,
        le=16,
        description="Most calls that are under way at once; fewer while HubSpot is slow, or says "
        "that it is too much.",
    )
    history: bool = Field(
        False,
        description="Read the history of properties, so that scores as of a date before the first "
        "sync go by the values of then.",
    )

    @field_validator("url")
    @classmethod
    def _encrypted(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            raise ValueError("must start with https:// (http:// only for a loopback address)")
        return url.rstrip("/")
