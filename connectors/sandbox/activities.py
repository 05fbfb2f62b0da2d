"""What people do in the sample data, and what it says of their interest."""

from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

from connectors.sandbox import names

COLD = {
    "email_open": 34,
    "page_view": 30,
    "email_click": 7,
    "email_sent": 8,
    "form_submission": 4,
    "download": 4,
    "webinar_registered": 3,
    "note": 3,
    "task": 3,
    "call": 2,
    "social_message": 2,
}
WARM = {
    "page_view": 40,
    "email_open": 14,
    "email_click": 9,
    "download": 8,
    "webinar_attended": 6,
    "call": 6,
    "form_submission": 4,
    "email_reply": 4,
    "meeting": 3,
    "trade_show": 2,
    "trial_started": 2,
    "demo_requested": 2,
}
WORTH = {
    "/pricing": 0.5,
    "download": 0.4,
    "webinar_attended": 0.5,
    "trial_started": 1.0,
    "demo_requested": 1.3,
    "meeting": 0.4,
    "email_click": 0.1,
    "email_reply": 0.2,
}
"""What an action is worth in log-odds of a deal; others nothing."""

_BY_REP = ("call", "meeting", "note", "task", "email_sent", "email_reply", "social_message")


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing done, with the neutral values of its record."""

    at: datetime
    values: dict[str, Any]
    worth: float

    @property
    def by_rep(self) -> bool:
        """Whether a rep logged it."""
        return self.values["type"] in _BY_REP

    @property
    def needs_email(self) -> bool:
        """Whether it is known of a person by e-mail address alone."""
        kind: str = self.values["type"]
        return kind.startswith(("email_", "form_"))

    def same_campaign(self, other: "Deed") -> bool:
        """Whether both are the one membership that a person has in a campaign."""
        mine, its = self.values, other.values
        members = mine["type"] in names.CAMPAIGNS and its["type"] in names.CAMPAIGNS
        return members and bool(mine["campaign"] == its["campaign"])


def deed(rng: Random, at: datetime, *, warm: bool) -> Deed:
    """Draw what somebody did at a time, cold or warm."""
    shares = WARM if warm else COLD
    (kind,) = rng.choices(tuple(shares), tuple(shares.values()))
    if kind in names.CAMPAIGNS:
        # A campaign's response is kept as a date by Salesforce.
        at = at.replace(hour=0, minute=0, second=0)
    details = _details(rng, kind, warm)
    worth = WORTH.get(kind, WORTH.get(details.get("asset", ""), 0.0))
    return Deed(at, {"type": kind, **details}, worth)


def _details(rng: Random, kind: str, warm: bool) -> dict[str, Any]:
    match kind:
        case "page_view":
            path = rng.choice(names.WARM_PAGES if warm else names.COLD_PAGES)
            area = path.rpartition("/")[2].capitalize() if path.startswith("/product/") else None
            return {"asset": path, "url": names.SITE + path, "area": area}
        case "download":
            asset = {"asset": rng.choice(names.DOWNLOADS), "area": rng.choice(names.AREAS)}
            if rng.random() < 0.35:
                return {**asset, "channel": "email", "campaign": rng.choice(names.NURTURE)}
            return asset
        case "email_open" | "email_click":
            return {"campaign": rng.choice(names.NURTURE)}
        case "form_submission":
            return {"asset": rng.choice(names.FORMS)}
        case "webinar_attended" | "webinar_registered" | "trade_show":
            return {"campaign": rng.choice(names.CAMPAIGNS[kind])}
        case "call":
            outcome = rng.choice(names.CALL_OUTCOMES)
            duration = rng.randint(30, 1800) if outcome == "Connected" else 0
            direction = rng.choice(("inbound", "outbound"))
            said = {"subject": "Call", "outcome": outcome, "duration": duration}
            return {**said, "direction": direction}
        case "meeting":
            return {"subject": "Meeting", "duration": rng.choice((1800, 3600))}
        case "email_sent" | "email_reply":
            direction = "outbound" if kind == "email_sent" else "inbound"
            return {"subject": "Following up", "direction": direction}
        case "note" | "task" | "social_message":
            return {"subject": kind.replace("_", " ").capitalize()}
    return {"area": rng.choice(names.AREAS)}
