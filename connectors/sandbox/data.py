"""The sample: a seeded world of leads, accounts, activities and deals, as lifelike as it must be.

Everybody has a hidden interest. It shows in what they do; and whether a deal comes of it, and
is won, is drawn from a logistic of fit (title, industry, country) and of what was done before
the deal was opened, so that a good scoring model finds something and a bad one does not.
The mess of a real CRM is in it as well: junk, duplicates, merged, converted and deleted
records, blanks, a nightly job that stamped most leads at one instant, visits older than the
lead they belong to, and activities that belong to nobody yet.
"""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from connectors.sandbox import names
from connectors.sandbox.activities import Deed, deed
from connectors.sandbox.crm import Crm, Kind, Record

DAYS = 180
"""How far back the activities go."""

FIT = {
    "executive": 1.4,
    "director": 1.0,
    "manager": 0.6,
    "Technology": 1.0,
    "Healthcare": 0.5,
    "Education": 0.2,
    "United States": 0.6,
    "Canada": 0.6,
    "Mexico": 0.6,
}
"""What title, industry and country are worth in log-odds of a deal; others nothing."""

_ON_LEAD = ("website", "industry", "employees", "revenue", "country", "state")


@dataclass(slots=True)
class Person:
    """A lead or contact, with what only the sample knows of it."""

    record: Record
    fit: float
    interest: float
    account: int | None
    deeds: list[Deed] = field(default_factory=list)


def sample(crm: Crm, *, seed: int, now: datetime, leads: int = 3000) -> None:
    """Fill an empty CRM; the same seed, time and size give the same world."""
    world = _Sample(crm, Random(seed), now.replace(microsecond=0))
    world.owners()
    world.accounts(max(leads // 8, 1))
    people = [world.person() for _ in range(leads)]
    people += world.junk(leads // 50)
    world.stamp_at_one_instant([p.record for p in people])
    world.copy_and_merge(people, leads // 100)
    world.convert(people, leads // 40)
    for person in people:
        world.act(person)
    world.anonymous(leads // 10)
    world.deals([p for p in people if p.record.kind is Kind.CONTACT])
    world.delete([p for p in people if p.record.kind is Kind.LEAD], leads // 80)


@dataclass
class _Sample:
    crm: Crm
    rng: Random
    now: datetime
    reps: list[Record] = field(default_factory=list)
    queues: list[Record] = field(default_factory=list)
    companies: list[Record] = field(default_factory=list)

    def owners(self) -> None:
        """People who sell, two of them gone, queues, and the user that integrations act as."""
        long_ago = self._ago(1000)
        api = {"name": "Integration", "email": "integration@seller.example", "active": True}
        self.crm.integration_user = self.crm.add(Kind.USER, api, at=long_ago).number
        for name, active in names.REPS:
            email = f"{name.lower().replace(' ', '.')}@seller.example"
            rep = {"name": name, "email": email, "active": active}
            self.reps.append(self.crm.add(Kind.USER, rep, at=long_ago))
        for name in names.QUEUES:
            self.queues.append(self.crm.add(Kind.QUEUE, {"name": name}, at=long_ago))

    def accounts(self, count: int) -> None:
        """Companies; some belong to another, most to a rep."""
        for n in range(count):
            values = self._firm(n)
            values["type"] = self._pick({"Prospect": 70, "Customer": 25, "Partner": 5})
            values["name"] = values.pop("company")
            values["owner"] = self.rng.choice(self.reps).number
            if self.companies and self.rng.random() < 0.08:
                values["parent"] = self.rng.choice(self.companies).number
            at = self._between(600, 120)
            self.companies.append(self.crm.add(Kind.ACCOUNT, values, at=at))

    def person(self) -> Person:
        """Three in four are leads that carry their company's data, one is a contact of one."""
        rng = self.rng
        account = rng.choice(self.companies)
        contact = rng.random() < 0.25
        if contact or rng.random() < 0.2:
            firm = {**account.values, "company": account.values["name"]}
        else:
            firm = self._firm(rng.randrange(100_000))
        level = self._pick(names.TITLE_SHARES)
        values = self._someone(firm, level)
        if contact:
            values |= {"account": account.number, "owner": account.values["owner"]}
        else:
            known = {k: firm[k] for k in _ON_LEAD if rng.random() < 0.93}
            values |= {**known, "technologies": firm["technologies"]}
        if values["email"] and rng.random() < 0.02:
            values["bounced_at"] = self._between(90, 1)
        kind = Kind.CONTACT if contact else Kind.LEAD
        record = self.crm.add(kind, values, at=self._between(400, 3))
        fit = sum(FIT.get(word, 0.0) for word in (level, firm["industry"], firm["country"]))
        return Person(record, fit, rng.gauss(-0.6, 1.0), account.number if contact else None)

    def _someone(self, firm: Mapping[str, Any], level: str) -> dict[str, Any]:
        rng = self.rng
        first, last = rng.choice(names.FIRST_NAMES), rng.choice(names.LAST_NAMES)
        source = rng.choice(names.SOURCES)
        domain = firm["website"].removeprefix("https://www.")
        return {
            "first_name": first,
            "last_name": last,
            "email": self._email(first, last, domain) if rng.random() < 0.96 else None,
            "phone": f"+1 555 01{rng.randrange(100):02}" if rng.random() < 0.6 else None,
            "title": rng.choice(names.TITLES[level]) if rng.random() < 0.9 else None,
            "company": firm["company"],
            "source": source,
            "status": rng.choice(names.STATUSES),
            "opt_out": rng.random() < 0.05,
            "owner": self._owner(source),
        }

    def junk(self, count: int) -> list[Person]:
        """What bots and bored visitors leave in a web form."""
        people = []
        for n in range(count):
            first, last, email, company = self.rng.choice(names.JUNK)
            values: dict[str, Any] = {"first_name": first, "last_name": last, "company": company}
            values |= {"source": "Web", "status": "New", "owner": self._owner("Web")}
            values["email"] = email and email.format(n)
            record = self.crm.add(Kind.LEAD, values, at=self._between(60, 1))
            people.append(Person(record, 0.0, -3.0, None))
        return people

    def stamp_at_one_instant(self, records: list[Record]) -> None:
        """A nightly job touched four leads in five, and left them all with one stamp."""
        night = self._ago(2)
        for record in records:
            chance = self.rng.random()
            if chance < 0.8:
                record.modified = max(night, record.created)
            elif chance < 0.95:
                record.modified = max(self._between(120, 4), record.created)
            else:
                record.modified = max(self._between(1.9, 0.1), record.created)

    def copy_and_merge(self, people: list[Person], count: int) -> None:
        """Duplicates: half of them were found and merged, the others are still there."""
        leads = [p for p in people if p.record.kind is Kind.LEAD and p.record.values.get("email")]
        for n, person in enumerate(self.rng.sample(leads, min(2 * count, len(leads)))):
            original = person.record
            tagged = original.values["email"].replace("@", "+news@")
            values = {**original.values, "email": tagged, "title": None}
            copy = self.crm.add(Kind.LEAD, values, at=self._between(50, 5))
            if n % 2:
                self.crm.merge(original, copy)
                at = self._between(4, 0.5)
                original.modified = copy.modified = copy.deleted_at = at

    def convert(self, people: list[Person], count: int) -> None:
        """The most interested of the leads were taken up by a rep and have become contacts."""
        leads = [p for p in people if p.record.kind is Kind.LEAD]
        leads.sort(key=lambda p: p.interest + self.rng.gauss(0, 0.5), reverse=True)
        for person in leads[:count]:
            lead = person.record
            lead.values["owner"] = self.rng.choice(self.reps).number
            contact = self.crm.convert(lead)
            at = max(self._between(170, 20), lead.created)
            lead.values["converted_at"] = lead.modified = at
            person.record, person.account = contact, contact.values["account"]
            account = self.crm.get(Kind.ACCOUNT, contact.values["account"])
            for record in (contact, account):
                if record is not None:
                    record.created = record.modified = at

    def act(self, person: Person) -> None:
        """What one person did: the more interested, the more, and the nearer to buying."""
        warmth = _logistic(person.interest)
        for _ in range(int(self.rng.expovariate(1 / (4 + 26 * warmth)))):
            at = self._ago(DAYS * self.rng.random())
            done = deed(self.rng, at, warm=self.rng.random() < warmth)
            if done.needs_email and not person.record.values.get("email"):
                continue
            if any(d.same_campaign(done) for d in person.deeds):
                continue
            person.deeds.append(done)
            self._log(done, [person.record.number], person)

    def anonymous(self, count: int) -> None:
        """Calls with a company, of which nobody noted who was on the line."""
        for _ in range(count):
            account = self.rng.choice(self.companies)
            at = self._ago(DAYS * self.rng.random())
            values = {"type": "call", "at": at, "people": [], "account": account.number}
            more = {"subject": "Call with the front desk", "duration": 60, "direction": "outbound"}
            owner = self.rng.choice(self.reps).number
            self.crm.add(Kind.ACTIVITY, {**values, **more, "owner": owner}, at=at)

    def deals(self, contacts: list[Person]) -> None:
        """Whether there is a deal, and whether it is won, follows from fit and behaviour."""
        for person in contacts:
            opened = self._between(130, 2)
            pull = sum(d.worth for d in person.deeds if d.at < opened)
            merit = 0.7 * person.fit + 0.8 * min(pull, 5.0)
            if self.rng.random() < _logistic(merit - 2.6):
                self._deal(person, opened, won=self.rng.random() < _logistic(merit - 3.2))

    def delete(self, leads: list[Person], count: int) -> None:
        """Some leads were thrown away."""
        for person in self.rng.sample(leads, min(count, len(leads))):
            if person.record.deleted_at is None:
                self.crm.delete(person.record)
                person.record.deleted_at = person.record.modified = self._between(10, 0.2)

    def _deal(self, person: Person, opened: datetime, *, won: bool) -> None:
        # Salesforce keeps the close date as a date.
        closing = (opened + timedelta(days=self.rng.randint(8, 60))).replace(
            hour=0, minute=0, second=0
        )
        closed = closing < self.now
        stage = "Proposal" if not closed else "Closed Won" if won else "Closed Lost"
        values = {
            "name": f"{person.record.values['company']} {opened:%b %Y}",
            "account": person.account,
            "people": [person.record.number],
            "amount": Decimal(self.rng.randrange(20, 900) * 100),
            "currency": self._pick({"USD": 70, "EUR": 30}),
            "stage": stage,
            "closed": closed,
            "won": closed and won,
            "closed_at": closing,
            "owner": self.rng.choice(self.reps).number,
        }
        deal = self.crm.add(Kind.DEAL, values, at=opened)
        deal.modified = closing if closed else opened

    def _log(self, done: Deed, people: list[int], person: Person) -> None:
        values = {**done.values, "at": done.at, "people": people, "account": person.account}
        if done.by_rep:
            values["owner"] = self.rng.choice(self.reps).number
        record = self.crm.add(Kind.ACTIVITY, values, at=done.at)
        imported = self._ago(30)
        if done.at < imported and self.rng.random() < 0.2:
            record.modified = imported

    def _firm(self, n: int) -> dict[str, Any]:
        rng = self.rng
        industry, country = self._pick(names.INDUSTRIES), self._pick(names.COUNTRIES)
        stem, trade = rng.choice(names.COMPANY_STEMS), rng.choice(names.COMPANY_TRADES[industry])
        employees = int(math.exp(rng.gauss(4.8, 1.4))) + 1
        slug = _ascii(f"{stem}-{trade}-{n}")
        return {
            "company": f"{stem} {trade} {rng.choice(names.COMPANY_FORMS)}",
            "website": f"https://www.{slug}.example",
            "industry": industry,
            "employees": employees,
            "revenue": Decimal(employees * rng.randrange(60, 240) * 1000),
            "country": country,
            "state": rng.choice(names.STATES[country]) if country in names.STATES else None,
            "technologies": sorted(rng.sample(names.TECHNOLOGIES, rng.randint(1, 3)))
            if rng.random() < 0.6
            else None,
        }

    def _email(self, first: str, last: str, domain: str) -> str:
        local = _ascii(f"{first}.{last}").strip(".") or "contact"
        return f"{local}{self.rng.randrange(1000)}@{domain}"

    def _owner(self, source: str) -> int | None:
        """A web form leaves its leads to the integration user or a queue, others to a rep."""
        if source != "Web":
            return self.rng.choice(self.reps).number
        if self.rng.random() < 0.2:
            return self.rng.choice(self.reps).number
        unworked = [self.crm.integration_user, *(q.number for q in self.queues)]
        return self.rng.choice(unworked)

    def _pick(self, shares: Mapping[str, int]) -> str:
        return self.rng.choices(tuple(shares), tuple(shares.values()))[0]

    def _ago(self, days: float) -> datetime:
        return self.now - timedelta(seconds=int(days * 86_400))

    def _between(self, days: float, and_days: float) -> datetime:
        return self._ago(self.rng.uniform(days, and_days))


def _ascii(text: str) -> str:
    """Text as it may stand in an address."""
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    return "".join(c for c in plain if c.isalnum() or c in ".-")


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))
