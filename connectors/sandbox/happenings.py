"""What happens to a CRM while somebody reads it, as faults of either face."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from connectors.sandbox.crm import Clock, Crm, Kind, Record
from connectors.sandbox.http import Around, Request, Response

SKEW = timedelta(minutes=10)
LATE = timedelta(minutes=4)

NAMES = {
    "changed-under-way": "a lead changes right after a page of them was answered, once",
    "future-stamp": "a lead is stamped ten minutes ahead of the CRM's own clock, once",
    "clock-ahead": "the CRM's clock is ten minutes ahead, from now on",
    "clock-behind": "the CRM's clock is ten minutes behind, from now on",
}
"""What can happen in any CRM, and what it means."""


def after(happens: Callable[[Crm], None]) -> Around:
    """A request is answered, and then something happens."""

    def around(face: Any, request: Request) -> Response:
        answer: Response = face(request)
        happens(face.crm)
        return answer

    return around


def change(crm: Crm) -> None:
    """Somebody sets a lead's industry to another one."""
    with crm.lock:
        lead = _some_lead(crm)
        other = "Retail" if lead.values.get("industry") == "Technology" else "Technology"
        crm.update(lead, {"industry": other}, by=_somebody(crm))


def stamp_in_future(crm: Crm) -> None:
    """A lead is saved by a server whose clock is ahead of the CRM's."""
    with crm.lock:
        crm.update(_some_lead(crm), {}, by=_somebody(crm), at=crm.clock() + SKEW)


def commit_late(crm: Crm) -> None:
    """A lead is saved and stamped, and seen when its transaction ends minutes later."""
    with crm.lock:
        values = {**_some_lead(crm).values, "email": f"late{crm.revision}@firm.example"}
        known = {name: value for name, value in values.items() if name not in crm.custom[Kind.LEAD]}
        crm.add(Kind.LEAD, known).visible_from = crm.clock() + LATE


@dataclass(frozen=True)
class Skewed:
    """A clock that is ahead of the right one, or behind."""

    right: Clock
    by: timedelta

    def __call__(self) -> datetime:
        return self.right() + self.by


def skew(by: timedelta) -> Callable[[Crm], None]:
    """From now on the CRM's clock is that much off."""

    def happens(crm: Crm) -> None:
        right = crm.clock.right if isinstance(crm.clock, Skewed) else crm.clock
        crm.clock = Skewed(right, by)

    return happens


AFTERWARDS = {
    "changed-under-way": change,
    "future-stamp": stamp_in_future,
    "clock-ahead": skew(SKEW),
    "clock-behind": skew(-SKEW),
}
"""What NAMES mean: what happens after an answer."""


def repeating(rows: str, goes_on: Callable[[Request], bool]) -> Around:
    """The last record of a page comes once more on the page after it.

    `rows` is where an answer has its records; `goes_on` tells a page that comes after another.
    """
    last: dict[str, Any] = {}

    def around(face: Any, request: Request) -> Response:
        plain = {k: v for k, v in request.headers.items() if k != "accept-encoding"}
        answer: Response = face(replace(request, headers=plain))
        body = json.loads(answer.body)
        found = body[rows] if answer.status == 200 else []
        if found:
            kind = found[0].get("attributes", {}).get("type", request.path)
            repeated = [last[kind]] if kind in last and goes_on(request) else []
            last[kind] = found[-1]
            body[rows] = repeated + found
        return Response(answer.status, json.dumps(body).encode(), answer.headers)

    return around


def _some_lead(crm: Crm) -> Record:
    """Another one each time, and always the same of the same CRM."""
    leads = [r for r in crm.records(Kind.LEAD) if not r.values.get("converted_at")]
    return leads[crm.revision % len(leads)]


def _somebody(crm: Crm) -> int:
    """A user, but not the one that integrations act as."""
    return next(u.number for u in crm.records(Kind.USER) if u.number != crm.integration_user)
