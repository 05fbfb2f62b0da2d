"""Both sandbox CRMs in one configuration, and the command line run on them in this process.

Everything but the process is real: YAML files, stores on disk, the vendors' client libraries,
HTTP on loopback. Only time is not: the CRMs, leadgauge and the rate limits share clocks that
stand still until they are told to go on, so that no test waits.
"""

import io
import json
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from connectors import registry
from connectors.base import Connector
from connectors.hubspot.connector import HubSpotConnector
from connectors.hubspot.settings import HubSpotSettings
from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.settings import SalesforceSettings
from connectors.sandbox.crm import Crm, Kind, Record
from connectors.sandbox.http import Fault, Request, Response, Server
from connectors.sandbox.hubspot.face import HubSpotFace
from connectors.sandbox.hubspot.objects import OBJECTS
from connectors.sandbox.hubspot.properties import INSTALLED, definition, group_of
from connectors.sandbox.salesforce.face import SalesforceFace
from connectors.sandbox.salesforce.ids import record_id
from connectors.sandbox.salesforce.org import id_of
from connectors.sandbox.salesforce.sessions import Credentials
from connectors.sandbox.scenario import Story, build
from connectors.settings import ConnectionSettings
from sync.cli import run
from sync.exits import Exit
from sync.ledger import Ledger
from sync.session import Outside
from tests.hubspot import Timer
from tests.world import Clock

SECRETS = {
    "SF_CLIENT_SECRET": "planted-secret-of-salesforce",
    "HUBSPOT_TOKEN": "pat-planted-token-of-hubspot",
}
ENVIRONMENT = {"SF_CLIENT_ID": "sandbox-client", **SECRETS}
CONNECTIONS: dict[str, dict[str, Any]] = {
    "sales": {
        "kind": "salesforce",
        "auth": {
            "flow": "client_credentials",
            "client_id": "${SF_CLIENT_ID}",
            "client_secret": "${SF_CLIENT_SECRET}",
        },
        "mapping": {
            "leads": {"technologies": "Tech_Stack__c", "accepted_at": "Sales_Accepted__c"},
            "accounts": {"technologies": "Tech_Stack__c"},
            "activities": {
                "asset": "Asset__c",
                "area": "Area__c",
                "channel": "Channel__c",
                "campaign": "Campaign__c",
            },
        },
    },
    "marketing": {
        "kind": "hubspot",
        "token": "${HUBSPOT_TOKEN}",
        "mapping": {"leads": {"technologies": "tech_stack", "accepted_at": "sales_accepted_at"}},
    },
}
ANA, BEN, LEFT, ROBOT = (f"{n}@seller.example" for n in ("ana", "ben", "left", "robot"))
FIELDS = {
    "sales": {
        "score": "Leadgauge_Score__c",
        "tier": "Leadgauge_Tier__c",
        "stage": "Leadgauge_Stage__c",
        "reason": "Leadgauge_Reason__c",
        "model": "Leadgauge_Model__c",
        "scored_at": "Leadgauge_Scored_At__c",
    },
    "marketing": {
        name: f"leadgauge_{name}"
        for name in ("score", "tier", "stage", "reason", "model", "scored_at")
    },
}
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
WRITING = re.compile(
    r"(PATCH|PUT|DELETE) |POST .*(/batch/(update|create|upsert|archive)|/jobs/ingest|"
    r"(?<!composite)/sobjects/(Lead|Contact)/?$|/objects/contacts/?$)"
)
"""The requests that change records."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed for machines."""
        return json.loads(self.out)

    def step(self, connection: str, name: str) -> dict[str, Any]:
        """One step of one connection in the report of a run with --json."""
        (part,) = (c for c in self.json["connections"] if c["connection"] == connection)
        (step,) = (s for s in part["steps"] if s["step"] == name)
        return dict(step)


@dataclass
class Seller:
    """One CRM of the seller, as somebody sees it who has nothing but the CRM."""

    name: str
    crm: Crm
    server: Server
    users: dict[str, Record]
    face: Callable[[Request], Response]

    def id(self, record: Record) -> str:
        """The id that the CRM shows for a record."""
        return id_of(record) if self.name == "sales" else str(record.number)

    def shown(self, record: Record) -> dict[str, Any]:
        """What leadgauge wrote there, as the CRM holds it; the owner as an e-mail address."""
        values = {o: record.values.get(name) for o, name in FIELDS[self.name].items()}
        owners = {user.number: email for email, user in self.users.items()}
        owner = record.values.get("owner")
        return {**values, "owner": owners.get(owner) if owner is not None else None}

    def edit(self, record: Record, output: str, value: Any) -> None:
        """Somebody changes a written field by hand."""
        name = "owner" if output == "owner" else FIELDS[self.name][output]
        self.crm.update(record, {name: value}, by=self.users[ANA].number)

    def add_field(self, kind: Kind, key: str, type: str = "Text") -> str:
        """A custom field of Text, Number or Date that holds the value `key`, as an admin makes it;
        its name in the CRM."""
        number = 5_000 + sum(map(len, self.crm.custom.values()))
        if self.name == "sales":
            name, metadata = f"{key.title()}__c", {"type": type, "label": key}
            made = {"id": record_id("00N", number), "metadata": metadata, "store": key}
            self.crm.custom[kind][name] = {**made, "readable": True, "editable": True}
        else:
            name, of = key, OBJECTS["companies" if kind is Kind.ACCOUNT else "contacts"]
            stored, shown = {"Number": ("number", "number"), "Date": ("date", "date")}.get(
                type, ("string", "text")
            )
            self.crm.custom[of.custom_kind][name] = definition(
                name=name, label=key, type=stored, fieldType=shown,
                groupName=group_of(of.name), objectTypeId=of.type_id, at=INSTALLED,
            )  # fmt: skip
        self.crm.revision += 1
        return name

    def writes(self) -> int:
        """How many requests so far asked to change records."""
        return sum(bool(WRITING.match(" ".join(seen))) for seen in self.server.requests)


@dataclass
class Live:
    """Both CRMs, the folder of the configuration, and the time that all go by."""

    folder: Path
    clock: Clock
    timer: Timer
    sellers: dict[str, Seller]
    env: dict[str, str] = field(default_factory=lambda: dict(ENVIRONMENT))
    connect: Callable[[str, ConnectionSettings], Connector] | None = None
    account: str = "robot"

    @property
    def sales(self) -> Seller:
        """The Salesforce one."""
        return self.sellers["sales"]

    @property
    def marketing(self) -> Seller:
        """The HubSpot one."""
        return self.sellers["marketing"]

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "config.yaml"

    @property
    def outside(self) -> Outside:
        """What a command takes from the world."""
        return Outside(self.env, self.clock, self.connect or self.open, self.account)

    def configure(self, *names: str, **more: Any) -> None:
        """Write config.yaml for some connections (default: both) and the default model.

        `more` are further keys of the file; a connection's name stands for more of its section.
        """
        connections = {}
        for name in names or CONNECTIONS:
            url = self.sellers[name].server.url
            connections[name] = {**CONNECTIONS[name], "url": url, **more.pop(name, {})}
        self.config.write_text(yaml.safe_dump({"connections": connections, **more}))
        self.model()

    def configure_write(self, name: str, written: Mapping[str, Any]) -> None:
        """Give outputs of one connection fields and policies."""
        content = yaml.safe_load(self.config.read_text())
        content["connections"][name]["write"] = dict(written)
        self.config.write_text(yaml.safe_dump(content))

    def configure_mapping(self, name: str, **tables: Mapping[str, Any]) -> None:
        """Map further fields of one connection, by table."""
        content = yaml.safe_load(self.config.read_text())
        mapping = content["connections"][name].setdefault("mapping", {})
        for table, fields in tables.items():
            mapping[table] = {**mapping.get(table, {}), **fields}
        self.config.write_text(yaml.safe_dump(content))

    def model(self, **changes: Any) -> None:
        """Write model.yaml: the default model, some of its keys replaced."""
        text = resources.files("core.presets").joinpath("weighted.yaml").read_text()
        path = self.folder / "model.yaml"
        if changes:
            text = yaml.safe_dump({**yaml.safe_load(text), **changes}, sort_keys=False)
        path.write_text(text)

    def tell(self, story: Story) -> dict[str, Record]:
        """Let a story happen in both CRMs, as of now."""
        return {n: build(s.crm, story, at=self.clock()) for n, s in self.sellers.items()}

    def run(self, *arguments: str) -> Outcome:
        """Run a command, a minute after whatever came before it.

        Whatever it is: no traceback, and no secret in what it prints.
        """
        self.clock.tick(minutes=1)
        out, err = io.StringIO(), io.StringIO()
        given = list(arguments)
        if given and given[0] not in ("init", "schema", "demo", "sandbox"):
            given += ["--config", str(self.config)]
        with nobody_there(), redirect_stdout(out), redirect_stderr(err):
            code = run(given, self.outside)
        outcome = Outcome(code, out.getvalue(), err.getvalue())
        for secret in SECRETS.values():
            assert secret not in outcome.out + outcome.err
        assert "Traceback" not in outcome.err
        return outcome

    def set_up(self) -> None:
        """Create the written fields."""
        done = self.run("setup", "--yes")
        assert done.code == Exit.DONE, done.err

    def sync(self, *arguments: str, code: int = Exit.DONE) -> Outcome:
        """Sync and report as JSON; the run must end with `code`."""
        outcome = self.run("sync", "--json", *arguments)
        assert outcome.code == code, outcome.err
        return outcome

    def ledger(self) -> Ledger:
        """The ledger of the configuration, to look into."""
        configured = yaml.safe_load(self.config.read_text()).get("ledger")
        return Ledger(configured or f"sqlite:///{self.folder / 'ledger.db'}")

    def open(self, name: str, settings: ConnectionSettings) -> Connector:
        """The connector of a connection, as the registry opens it, but in our time."""
        if isinstance(settings, SalesforceSettings):
            return SalesforceConnector(name, settings, sleep=self.timer.sleep)
        if isinstance(settings, HubSpotSettings):
            return HubSpotConnector(name, settings, clock=self.timer, sleep=self.timer.sleep)
        return registry.open(name, settings)


@contextmanager
def live(folder: Path, timer: Timer | None = None, *, index_lag: float = 0.0) -> Iterator[Live]:
    """Both CRMs, empty but for four users, configured together, their fields not yet made.

    HubSpot's search shows what was `index_lag` seconds ago.
    """
    clock, timer = Clock(), timer or Timer()
    crms = {name: Crm(clock) for name in CONNECTIONS}
    users = {name: staff(crm) for name, crm in crms.items()}
    secret, token = SECRETS.values()
    salesforce = SalesforceFace(crms["sales"], credentials=Credentials(client_secret=secret))
    hubspot = HubSpotFace(crms["marketing"], tokens=(token,), timer=timer, index_lag=index_lag)
    with (
        Server(salesforce, clock=crms["sales"].now) as sales,
        Server(hubspot, clock=crms["marketing"].now) as marketing,
    ):
        sellers = {
            "sales": Seller("sales", crms["sales"], sales, users["sales"], salesforce),
            "marketing": Seller(
                "marketing", crms["marketing"], marketing, users["marketing"], hubspot
            ),
        }
        found = Live(folder, clock, timer, sellers)
        found.configure()
        yield found


def staff(crm: Crm) -> dict[str, Record]:
    """Two reps, one who has left, and the user that integrations act as; by e-mail address."""
    users = {
        email: crm.add(
            Kind.USER,
            {"name": email.partition("@")[0].title(), "email": email, "active": email != LEFT},
        )
        for email in (ANA, BEN, LEFT, ROBOT)
    }
    crm.integration_user = users[ROBOT].number
    return users


@contextmanager
def nobody_there() -> Iterator[None]:
    """Answer no question, and give the signal handlers back that a command replaces."""
    stdin = sys.stdin
    sys.stdin = io.StringIO()
    kept = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        sys.stdin = stdin
        for number, handler in kept.items():
            signal.signal(number, handler)


def balanced(report: Mapping[str, Any]) -> bool:
    """Whether each step of each connection adds up: in = out + held + rejected."""
    return all(
        step["in"] == step["out"] + sum(step["held"].values()) + sum(step["rejected"].values())
        for part in report["connections"]
        for step in part["steps"]
    )


__all__ = ["Fault", "Live", "Outcome", "Seller", "balanced", "live"]
