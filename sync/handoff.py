"""The hand-off: whoever is to be told of a lead that sales gets now is told, once.

What is to be told stands in the ledger's outbox (`sync.ledger_notices`) and is sent within a cycle,
once the CRM has taken what was decided. A task or a note is looked for before it is sent
again. An e-mail or a webhook may come twice where its answer was lost: then its Message-ID, or its
Idempotency-Key, is that of the first.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from typing import Any

from ibis import _

from connectors.base import Connector, Entry, EntryKind, Price, Progress
from connectors.errors import (
    ConnectorError,
    CredentialsError,
    Interrupted,
    QuotaExhausted,
    TemporaryError,
)
from core.decision import UNIT, Decision, Output
from core.facts import as_of
from core.stages import QUALIFIED
from sync.dossier import dossiers, plain
from sync.handoff_settings import Handoff, Way
from sync.lease import Lease
from sync.ledger_notices import About, Notice, Sending
from sync.price import telling
from sync.senders import NotifyError, Unacceptable, mail, post
from sync.session import Session
from sync.stop import Stop
from sync.yaml_source import ConfigError

Row = Mapping[str, Any]

HALTING = (NotifyError, CredentialsError, QuotaExhausted, TemporaryError)
"""What is wrong with a way as such: what else goes this way waits for the next run."""

TOGETHER = 50
"""Leads whose dossiers are made at a time: most of the time goes into the first of them."""

ENTRIES = (Way.TASK, Way.NOTE)
"""The ways that are calls to the CRM."""


def price(
    session: Session, connector: Connector, run_id: str, rehearsed: Mapping[str, int]
) -> Price:
    """What `tell` will cost in calls to the CRM, at the end of a run that has decided.

    `rehearsed` is how many notices the run would add, by their way, where it records nothing: of a
    person's several records each, as which one is told of shows when it is recorded.
    """
    handoff, capabilities, found = session.config.handoff, connector.capabilities, Price()
    if handoff is None or not capabilities.takes_entries:
        return found
    for way in {*ENTRIES} & {*dict(handoff.ways())}:
        due = session.ledger.notices.due(connector.name, way, handoff.most, session.clock())
        added = sum(notice.run_id == run_id for notice in due)
        tried = sum(notice.tries > 0 for notice in due)
        waiting = len(due) - added - tried
        # As many as are told in one run: those that were never tried come first.
        new = min(added + rehearsed.get(way, 0), handoff.most - waiting)
        again = min(tried, handoff.most - waiting - new)
        found += telling(new, waiting, again, capabilities)
    return replace(found, exact=False) if rehearsed and session.config.identity else found


def tell(
    session: Session,
    connector: Connector,
    lease: Lease,
    at: datetime,
    stop: Stop,
    progress: Progress,
    undecided: Collection[str],
) -> list[str]:
    """Send what is due of a connection's notices, as long as the lease is held; a line for each
    that was not acknowledged. Of `undecided` leads nothing is told: the next run decides anew."""
    handoff = session.config.handoff
    if handoff is None:
        return []
    teller = _Teller(session, connector, lease, handoff, at, undecided)
    return [line for way, _told in handoff.ways() for line in teller.tell(way, stop, progress)]


@dataclass(frozen=True)
class Handed:
    """A lead that was handed off, with what there is to say of it. `owner` None: a queue, nobody,
    or one that the CRM does not show."""

    notice: Notice
    decision: Decision
    name: str
    owner: Row | None

    @property
    def headline(self) -> str:
        """All of it in a line."""
        tier = f", tier {self.decision.tier}" if self.decision.tier else ""
        what = self.notice.what
        if self.notice.kind is About.SURGE:
            what = f"surge {Decimal(what) / UNIT:+f}"
        return f"{what}: {self.name} ({self.decision.points:f} points{tier})"


class _Teller:
    """Tells of one connection's hand-offs, as of the cycle that ends."""

    def __init__(
        self,
        session: Session,
        connector: Connector,
        lease: Lease,
        handoff: Handoff,
        at: datetime,
        undecided: Collection[str],
    ) -> None:
        self._session = session
        self._connector = connector
        self._lease = lease
        self._handoff = handoff
        self._at = at
        self._undecided = frozenset(undecided)
        self._notices = session.ledger.notices
        self._due: list[Notice] = []
        self._pages: dict[str, str | None] = {}
        self._send: Mapping[Way, Callable[[Handed], None]] = {
            Way.EMAIL: self._mail,
            Way.WEBHOOK: self._post,
            Way.TASK: self._task,
            Way.NOTE: self._note,
        }

    def tell(self, way: Way, stop: Stop, progress: Progress) -> Iterator[str]:
        """Send what is due by one way, as long as the way is open."""
        clock = self._session.clock
        found = self._notices.due(self._connector.name, way, self._handoff.most, clock())
        due = self._due = [one for one in found if one.lead_id not in self._undecided]
        for number, notice in enumerate(due, start=1):
            if stop.asked:
                # The cycle itself is done: what is left waits in the outbox for the next.
                return
            self._lease.hold()
            progress(f"{notice.connection}: hand-off by {way}", number, len(due))
            handed = self._handed(notice)
            if handed is None or not self._possible(way):
                self._notices.settle(notice, Sending.DROPPED, at=clock())
                if handed is None and notice.kind is About.HANDOFF:
                    self._tell_instead(notice)
                continue
            self._notices.sending(notice)
            try:
                self._send[way](handed)
            except (NotifyError, ConnectorError, Interrupted) as error:
                self._notices.failed(notice, str(error), at=clock())
                yield f"hand-off of {notice.lead_id} by {way}: {error}"
                if isinstance(error, HALTING) and not isinstance(error, Unacceptable):
                    return
            else:
                self._notices.settle(notice, Sending.TOLD, at=clock())

    def _tell_instead(self, notice: Notice) -> None:
        """Tell of another record of the same person that is at sales, where this one is not."""
        handoffs, config = self._session.ledger.handoffs, self._session.config
        following = handoffs.following(notice.connection, notice.lead_id, notice.number)
        for record in (r for name in config.precedence for r in following if r[0] == name):
            if handoffs.tell_instead(record, config.told(record[0]), at=self._at):
                return

    def _possible(self, way: Way) -> bool:
        return way not in ENTRIES or self._connector.capabilities.takes_entries

    def _handed(self, notice: Notice) -> Handed | None:
        """What there is to say of a lead; None where it is gone, or sales is not to have it now."""
        decided = self._session.ledger.decisions(notice.connection, notice.lead_id)
        decision = decided[-1].decision if decided else None
        person = self._one("leads", notice.lead_id)
        if decision is None or person is None:
            return None
        at_sales = decision.stage in {*QUALIFIED, *self._session.config.handed}
        if notice.kind is About.HANDOFF and not at_sales:
            return None
        present = dict(person["present"] or ())
        owner = self._one("owners", present.get(Output.OWNER.value) or person["owner_id"] or "")
        if owner is not None and not (owner["active"] and owner["kind"] == "person"):
            owner = None
        name = " ".join(filter(None, (person["first_name"], person["last_name"])))
        firm = f", {person['company']}" if person["company"] else ""
        return Handed(notice, decision, plain(f"{name or notice.lead_id}{firm}"), owner)

    def _one(self, table: str, record: str) -> Row | None:
        """A record of this connection as the facts now have it."""
        rows = self._session.facts.table(table)
        if table == "leads":
            rows = as_of(rows, self._at)
        found = rows.filter(_.connection == self._connector.name, _.id == record)
        return next(iter(found.to_pyarrow().to_pylist()), None)

    def _dossier(self, handed: Handed) -> str:
        """The page of a lead, made once though it goes several ways; without a model, its line."""
        lead = handed.notice.lead_id
        if lead not in self._pages:
            self._make_pages(lead)
        return self._pages[lead] or f"# {handed.headline}\n{handed.decision.reason}"

    def _make_pages(self, lead: str) -> None:
        """Make the page of a lead, and with it some of those that will be asked for after it."""
        ahead = (n.lead_id for n in self._due if n.lead_id not in self._pages)
        leads = list(dict.fromkeys((lead, *ahead)))[:TOGETHER]
        try:
            found = dossiers(self._session, leads, self._at)
        except ConfigError:
            found = {}
        self._pages |= {one: found.get((self._connector.name, one)) for one in leads}

    # The ways

    def _mail(self, handed: Handed) -> None:
        settings = self._handoff.email
        assert settings is not None, "else it would be no way"
        message = EmailMessage()
        address = handed.owner and handed.owner["email"]
        message["To"] = address or ", ".join(settings.without_owner)
        message["Subject"] = handed.headline
        message["Message-ID"] = f"<{handed.notice.key}@leadgauge>"
        message.set_content(f"{self._dossier(handed)}\n")
        mail(message, settings, "e-mail")

    def _post(self, handed: Handed) -> None:
        settings = self._handoff.webhook
        assert settings is not None, "else it would be no way"
        notice, decision, owner = handed.notice, handed.decision, handed.owner
        who = plain(owner["name"] or owner["id"]) if owner else "nobody yet"
        document = {
            "text": f"{handed.headline}\nowner: {who}\n{plain(decision.reason)}",
            "connection": notice.connection,
            "lead": notice.lead_id,
            "kind": notice.kind,
            "number": notice.number,
            "stage": decision.stage,
            "tier": decision.tier,
            "score": f"{decision.points:f}",
            "probability": None if decision.probability is None else f"{decision.probability:f}",
            "owner": owner and owner["id"],
            "at": notice.at.isoformat(),
        }
        post(document, settings, "webhook", notice.key)

    def _task(self, handed: Handed) -> None:
        settings = self._handoff.task
        assert settings is not None, "else it would be no way"
        lines = [handed.decision.reason]
        work = self._handoff.tiers.get(handed.decision.tier or "")
        if work and work.playbook:
            lines.append(work.playbook)
        self._add(handed, EntryKind.TASK, "\n".join(lines), settings.due)

    def _note(self, handed: Handed) -> None:
        self._add(handed, EntryKind.NOTE, self._dossier(handed), timedelta(0))

    def _add(self, handed: Handed, kind: EntryKind, body: str, due: timedelta) -> None:
        """Put an entry on the lead's record, unless an earlier try did."""
        notice, decision = handed.notice, handed.decision
        entry = Entry(
            kind,
            decision.object_type,
            notice.lead_id,
            notice.key,
            handed.headline,
            body,
            notice.at + due,
            handed.owner["id"] if handed.owner else None,
        )
        if not (notice.tries and self._connector.has_entry(entry)):
            self._connector.add_entry(entry)
