"""What people do in both sandbox CRMs, and what their admins then let nobody save.

Everything is drawn from one seeded source of chance. Noted is what an oracle must know of it: the
written fields that somebody edited, the records that are refused, and the associations that moved
no stamp.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from connectors.sandbox.crm import Kind, Record
from connectors.sandbox.http import Fault
from connectors.sandbox.hubspot.replies import ApiError, invalid_values
from tests.live import ANA, FIELDS, Live, Seller
from tests.written import Place

LEADS = 40
"""How many there are in each CRM to begin with."""

REFUSED = 4
"""Most records of a CRM that are refused at the same time."""

EDITABLE = "tier"
"""The written field that people edit, and whose edits are respected."""

PEOPLE = (Kind.LEAD, Kind.CONTACT)
UPDATE = "/batch/update/?$"
INVALID = invalid_values([{"isValid": False, "error": "INVALID_OPTION"}]).response
LOCKED = ApiError(423, "LOCKED", "The resource is locked: wait at least 2 seconds").response


@dataclass
class Life:
    """Both CRMs, and what goes on in them."""

    live: Live
    chance: random.Random
    events: Counter[str] = field(default_factory=Counter)
    edits: dict[Place, Any] = field(default_factory=dict)
    refused: dict[tuple[str, int], Callable[[], object]] = field(default_factory=dict)
    """The records that their CRM refuses for good, and what makes an end of it."""
    unstamped: set[tuple[str, int]] = field(default_factory=set)
    """Leads that got an activity without a stamp: only a reconciliation can be sure to find it."""

    def happens(self, seller: Seller, *, under_way: bool = False) -> None:
        """One thing that people do in a CRM.

        An edit of what is just being written is not told from what was there: that race is the
        CRM's to decide, and none of a running cycle.
        """
        leads = living(seller)
        what = self.chance.choice(
            ("lead", "lead", "act", "act", "act", "industry", "late association", "late commit")
            + (() if under_way else ("edit",))
            + (("merge", "delete", "convert") if len(leads) > LEADS // 2 else ("restore",))
        )
        self._happens(what, seller, leads)

    def is_managed(self, seller: Seller) -> None:
        """One thing that admins and other programs do: no record of a CRM may be saved for ever
        or for now, or one may be again; or what was deleted is brought back."""
        what = self.chance.choice(("refuse", "mend", "lock", "restore", "silent association"))
        self._happens(what, seller, living(seller))

    def _happens(self, what: str, seller: Seller, leads: list[Record]) -> None:
        self.events[what] += 1
        getattr(self, f"_{what.replace(' ', '_')}")(seller, leads)

    def _lead(self, seller: Seller, leads: list[Record]) -> Record:
        del leads
        n = seller.crm.revision
        industry = self.chance.choice(("Technology", "Retail"))
        person = {"last_name": f"P{n}", "company": "Firm", "email": f"p{n}@firm.example"}
        return seller.crm.add(Kind.LEAD, {**person, "industry": industry})

    def _act(self, seller: Seller, leads: list[Record], **more: Any) -> Record:
        what = self.chance.choice(({"type": "call"}, {"type": "page_view", "asset": "/pricing"}))
        people = [self.chance.choice(leads).number]
        done = {"at": seller.crm.now(), "people": people, **what, **more}
        return seller.crm.add(Kind.ACTIVITY, done)

    def _industry(self, seller: Seller, leads: list[Record]) -> None:
        values = {"industry": self.chance.choice(("Technology", "Retail"))}
        record = firm(seller, self.chance.choice(leads))
        seller.crm.update(record, values, by=seller.users[ANA].number)

    def _late_association(self, seller: Seller, leads: list[Record]) -> None:
        """A call that is nobody's, and one of before that is found to be somebody's."""
        self._act(seller, leads, type="call", people=[])
        for call in seller.crm.records(Kind.ACTIVITY):
            if not call.values["people"] and call.created < seller.crm.now():
                seller.crm.update(call, {"people": [self.chance.choice(leads).number]})
                return

    def _late_commit(self, seller: Seller, leads: list[Record]) -> None:
        """A call that is seen some minutes after it was stamped."""
        call = self._act(seller, leads, type="call")
        call.visible_from = seller.crm.now() + timedelta(minutes=4)

    def _edit(self, seller: Seller, leads: list[Record]) -> None:
        """Somebody sets a written field, and means it."""
        lead = self.chance.choice(leads)
        seller.edit(lead, EDITABLE, "Z")
        self.edits[seller.name, lead.number, FIELDS[seller.name][EDITABLE]] = "Z"

    def _merge(self, seller: Seller, leads: list[Record]) -> None:
        winner = self.chance.choice(leads)
        others = [r for r in leads if r.kind is winner.kind and r is not winner]
        loser = self.chance.choice(others)
        seller.crm.merge(winner, loser)
        if (seller.name, loser.number) in self.unstamped:
            self.unstamped.add((seller.name, winner.number))
        name = FIELDS[seller.name][EDITABLE]
        if winner.values.get(name) == self.edits.get((seller.name, loser.number, name), ""):
            self.edits[seller.name, winner.number, name] = winner.values[name]

    def _delete(self, seller: Seller, leads: list[Record]) -> None:
        seller.crm.delete(self.chance.choice(leads), bump=seller.name == "sales")

    def _restore(self, seller: Seller, leads: list[Record]) -> None:
        """Somebody takes a record out of the recycle bin. HubSpot's calls then have it again, and
        are not stamped."""
        del leads
        gone = [
            record
            for record in seller.crm.records(*PEOPLE, deleted=True)
            if record.deleted_at and record.survivor is None
        ]
        if gone:
            back = self.chance.choice(gone)
            seller.crm.restore(back)
            self.unstamped.add((seller.name, back.number))

    def _convert(self, seller: Seller, leads: list[Record]) -> None:
        """Salesforce alone knows conversion."""
        lead = self.chance.choice(leads)
        if seller.name == "sales" and lead.kind is Kind.LEAD:
            seller.crm.convert(lead)

    def _silent_association(self, seller: Seller, leads: list[Record]) -> None:
        """A call of before is found to be somebody's, and HubSpot stamps nothing."""
        if seller.name != "marketing":
            return
        for call in seller.crm.records(Kind.ACTIVITY):
            if call.values["type"] == "call" and not call.values["people"]:
                lead = self.chance.choice(leads)
                call.values["people"] = [lead.number]
                seller.crm.revision += 1
                self.unstamped.add((seller.name, lead.number))
                return

    # Refusals

    def _refuse(self, seller: Seller, leads: list[Record]) -> None:
        """A rule no longer lets a record be saved."""
        lead = self.chance.choice(leads)
        place = (seller.name, lead.number)
        many = sum(name == seller.name for name, _ in self.refused) == REFUSED
        if many or place in self.refused:
            return
        if seller.name == "sales":
            invalid = rules(seller).invalid
            invalid[seller.id(lead)] = "Ask your admin first."
            self.refused[place] = partial(invalid.pop, seller.id(lead))
        else:
            fault = refusing(lead, times=None, response=INVALID)
            seller.server.faults.append(fault)
            self.refused[place] = partial(seller.server.faults.remove, fault)

    def _mend(self, seller: Seller, leads: list[Record]) -> None:
        """Somebody corrects a record, so that the rule lets it be saved."""
        mine = [place for place in self.refused if place[0] == seller.name]
        if not mine:
            return
        place = self.chance.choice(mine)
        self.refused.pop(place)()
        for lead in leads:
            if lead.number == place[1]:
                correct = {"title": f"Corrected {seller.crm.revision}"}
                seller.crm.update(lead, correct, by=seller.users[ANA].number)

    def _lock(self, seller: Seller, leads: list[Record]) -> None:
        """Another program works on a record, for a few attempts to save it or over some cycles."""
        lead, times = self.chance.choice(leads), self.chance.randint(1, 12)
        if seller.name == "sales":
            rules(seller).locked[seller.id(lead)] = times
        else:
            seller.server.faults.append(refusing(lead, times=times, response=LOCKED))

    def unlock(self) -> None:
        """The other programs are done."""
        rules(self.live.sales).locked.clear()
        faults = self.live.marketing.server.faults
        faults[:] = [fault for fault in faults if fault.response is not LOCKED]


def living(seller: Seller) -> list[Record]:
    """The leads of a CRM that are neither gone nor converted."""
    return [r for r in seller.crm.records(*PEOPLE) if not r.values.get("converted_at")]


def refusing(lead: Record, **more: Any) -> Fault:
    """A refusal of whatever is to be written to a lead in HubSpot."""
    return Fault(UPDATE, "POST", body=f'"id": ?"{lead.number}"', **more)


def rules(seller: Seller) -> Any:
    """What the admins of the Salesforce org have set up."""
    return seller.face.rules  # type: ignore[attr-defined]


def firm(seller: Seller, person: Record) -> Record:
    """The record that says somebody's industry: for a Salesforce contact that is its account."""
    if seller.name == "marketing" or person.kind is Kind.LEAD:
        return person
    account = seller.crm.get(Kind.ACCOUNT, person.values["account"])
    assert account is not None
    return account
