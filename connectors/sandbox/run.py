"""Both sandbox CRMs, filled with the sample data and served on loopback."""

from dataclasses import dataclass
from typing import Self

from connectors.sandbox.crm import Crm, Kind, utc_now
from connectors.sandbox.data import sample
from connectors.sandbox.http import Server
from connectors.sandbox.hubspot.face import HubSpotFace
from connectors.sandbox.hubspot.limits import TOKEN
from connectors.sandbox.salesforce.face import SalesforceFace
from connectors.sandbox.salesforce.sessions import Credentials

CREDENTIALS = Credentials()


@dataclass
class Sandbox:
    """Two running CRMs with the same sample of a B2B world; close it to free the ports."""

    salesforce: Server
    hubspot: Server
    salesforce_crm: Crm
    hubspot_crm: Crm

    @classmethod
    def start(
        cls, *, seed: int, leads: int, salesforce_port: int = 0, hubspot_port: int = 0
    ) -> Self:
        """Fill and serve both; port 0 takes any free one.

        The account of the demo is a roomy one: with the 190 calls in 10 seconds of a small
        account, reading the web visits of every contact alone would take minutes.
        """
        crms = []
        for _ in range(2):
            crm = Crm(clock=utc_now)
            sample(crm, seed=seed, now=utc_now(), leads=leads)
            crms.append(crm)
        salesforce, hubspot = crms
        return cls(
            Server(
                SalesforceFace(salesforce, credentials=CREDENTIALS),
                salesforce_port,
                salesforce.now,
            ),
            Server(HubSpotFace(hubspot, ten_secondly=5000), hubspot_port, hubspot.now),
            salesforce,
            hubspot,
        )

    def reps(self) -> list[str]:
        """The e-mail addresses of the active people who can be given leads."""
        robot = self.salesforce_crm.integration_user
        users = self.salesforce_crm.records(Kind.USER)
        return [u.values["email"] for u in users if u.values["active"] and u.number != robot]

    def robot(self) -> str:
        """The e-mail address of the user that integrations act as."""
        crm = self.salesforce_crm
        user = crm.get(Kind.USER, crm.integration_user or 0)
        return str(user.values["email"]) if user else ""

    def environment(self) -> dict[str, str]:
        """What the references in the sandbox's configuration stand for."""
        return {
            "SF_CLIENT_ID": CREDENTIALS.client_id,
            "SF_CLIENT_SECRET": CREDENTIALS.client_secret,
            "HUBSPOT_TOKEN": TOKEN,
        }

    def close(self) -> None:
        """Stop serving."""
        self.salesforce.close()
        self.hubspot.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
