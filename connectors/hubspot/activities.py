"""Reading activities: engagements, behavioural events, marketing e-mail and form submissions.

Where an account or a token has no access to an event source, the properties that remember the
last such event of each contact stand in for it: fewer events, the same meaning.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors import values
from connectors.base import Cursor, Page, RowProblem, Stream
from connectors.hubspot.client import SEARCH_PAGE, Gateway, Json
from connectors.hubspot.entries import MARKED, is_ours
from connectors.hubspot.failures import Gone, MissingScope
from connectors.hubspot.fields import CONTACTS, Fields
from connectors.hubspot.pull import columns, people
from connectors.hubspot.walk import EPOCH, PAGE, milliseconds, next_page, searched, walk
from connectors.mapping import table
from core.model import Activity

TYPES: Mapping[str, str] = {
    "calls": "call",
    "EMAIL": "email_sent",
    "INCOMING_EMAIL": "email_reply",
    "FORWARDED_EMAIL": "email_sent",
    "meetings": "meeting",
    "notes": "note",
    "tasks": "task",
    "communications": "social_message",
    "e_visited_page": "page_view",
    "OPEN": "email_open",
    "CLICK": "email_click",
    "form_submission": "form_submission",
}
"""What HubSpot calls a kind of activity -> the canonical type."""

EMAIL_EVENTS = ("OPEN", "CLICK")

DISPOSITIONS: Mapping[str, str] = {
    "9d9162e7-6cf3-4944-bf63-4dff82258764": "Busy",
    "f240bbac-87c9-4f6e-bf70-924b57d47db7": "Connected",
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff": "Left live message",
    "b2cf5968-551e-4856-9783-52b3da59a7d0": "Left voicemail",
    "73a0d17f-1163-4015-bdd5-ec830791da20": "No answer",
    "17b47fee-58de-441e-a44c-c6300d46f273": "Wrong number",
}
"""The outcomes of calls that every account has, by the id that HubSpot answers with."""

DETAILS: Mapping[str, tuple[str, ...]] = {
    "calls": ("hs_call_direction", "hs_call_duration", "hs_call_disposition", "hs_call_status"),
    "emails": (
        "hs_email_direction",
        "hs_email_status",
        "hs_email_message_id",
        "hs_email_subject",
    ),
    "meetings": ("hs_meeting_start_time", "hs_meeting_end_time", "hs_meeting_outcome"),
    "notes": (MARKED["notes"],),
    "tasks": ("hs_task_status", MARKED["tasks"]),
    "communications": (),
}
"""The properties of each engagement beyond those that all have."""


@dataclass(frozen=True)
class LastEvent:
    """A property of contacts with the time of the last event of a kind, and one with its asset."""

    word: str
    at: str
    asset: str = ""


LAST_SEEN = "hs_analytics_last_timestamp"
"""The property of contacts with the time of their last event of any kind."""

LAST_VISIT = (
    LastEvent("e_visited_page", "hs_analytics_last_visit_timestamp", "hs_analytics_last_url"),
)
LAST_EMAIL = (
    LastEvent("OPEN", "hs_email_last_open_date"),
    LastEvent("CLICK", "hs_email_last_click_date"),
)
LAST_FORM = (
    LastEvent("form_submission", "recent_conversion_date", "recent_conversion_event_name"),
)


class Activities:
    """The streams of activities."""

    def __init__(self, gateway: Gateway, fields: Fields) -> None:
        self._gateway = gateway
        self._fields = fields

    def engagements(self, stream: Stream, cursor: Cursor | None, until: datetime) -> Iterator[Page]:
        """Calls, e-mails, meetings, notes, tasks or communications, one row for each contact."""
        kind = stream.name
        mapping = self._fields.engagement()
        properties = list(dict.fromkeys([*mapping.values(), *DETAILS[kind]]))
        for chunk in walk(self._gateway, kind, properties, cursor, until):
            ours = tuple(record["id"] for record in chunk.records if is_ours(kind, record))
            theirs = [record for record in chunk.records if not is_ours(kind, record)]
            rows = list(people(self._gateway, kind, theirs))
            records = [record for record, _, _ in rows]
            details = [self._details(kind, record["properties"]) for record in records]
            raw = columns(records, mapping)
            for column in details[0] if details else ():
                raw.setdefault(column, [detail[column] for detail in details])
            raw["object_type"] = [kind] * len(rows)
            raw["lead_id"] = [contact for _, contact, _ in rows]
            raw["account_id"] = [company for _, _, company in rows]
            mapped = table(Activity, raw)
            yield Page(stream, mapped.rows, chunk.cursor, (), mapped.rejected, ours=ours)

    def _details(self, kind: str, properties: Json) -> dict[str, Any]:
        """What the properties of one engagement mean, beyond the mapped ones."""
        if kind == "calls":
            disposition = properties.get("hs_call_disposition")
            return {
                "type": self._type(kind),
                "direction": (properties.get("hs_call_direction") or "").lower(),
                "duration": _seconds(properties.get("hs_call_duration")),
                "outcome": DISPOSITIONS.get(disposition or "", disposition)
                or properties.get("hs_call_status"),
            }
        if kind == "emails":
            word = properties.get("hs_email_direction") or "EMAIL"
            return {
                "type": self._type(word),
                "direction": "inbound" if word == "INCOMING_EMAIL" else "outbound",
                "outcome": properties.get("hs_email_status"),
                "message_id": properties.get("hs_email_message_id"),
                "subject": properties.get("hs_email_subject"),
            }
        if kind == "meetings":
            return {
                "type": self._type(kind),
                "duration": values.seconds_between(
                    properties.get("hs_meeting_start_time"), properties.get("hs_meeting_end_time")
                ),
                "outcome": properties.get("hs_meeting_outcome"),
            }
        return {"type": self._type(kind), "outcome": properties.get("hs_task_status")}

    def events(self, stream: Stream, cursor: Cursor | None, until: datetime) -> Iterator[Page]:
        """Behavioural events of the contacts that were seen since the cursor.

        They can be asked for one contact at a time only: one call for each visitor. An account
        without them (403) has its last page views.
        """
        since = cursor.stamp if cursor else None
        until = cursor.until if cursor and cursor.until else until
        for chunk in searched(
            self._gateway,
            CONTACTS,
            [LAST_SEEN],
            LAST_SEEN,
            cursor,
            until,
            bounded=False,
            gather=SEARCH_PAGE,
        ):
            try:
                asked = [contact["id"] for contact in chunk.records]
                found = self._gateway.lanes.each(
                    lambda contact: list(self._events_of(contact, since, until)), asked
                )
                rows = [row for of_contact in found for row in of_contact]
            except MissingScope:
                yield from self._last(stream, LAST_VISIT, cursor, until)
                return
            yield self._page(stream, rows, chunk.cursor)

    def _events_of(self, contact: str, since: datetime | None, until: datetime) -> Iterator[Json]:
        after = ""
        while True:
            try:
                page = self._gateway.events(contact, since, until, after)
            except Gone:
                return
            for event in page["results"]:
                word = event.get("eventType")
                kind = self._event_type(word) if word else None
                if kind != "":
                    yield {
                        "id": event.get("id"),
                        "object_type": "events",
                        "lead_id": contact,
                        "type": kind,
                        "occurred_at": event.get("occurredAt"),
                        **self._event_details(event.get("properties") or {}),
                    }
            after = next_page(page)
            if not after:
                return

    def _event_details(self, properties: Json) -> dict[str, Any]:
        named = {
            column: properties.get(self._fields.event(column))
            for column in self._fields.event_columns()
        }
        named["asset"] = named["asset"] or properties.get("hs_url")
        return named

    def _event_type(self, word: str) -> str:
        """The canonical type of an event; empty for HubSpot's own that other streams carry."""
        if known := self._type(word):
            return known
        if word.startswith("e_"):
            return ""
        # A custom event is called pe<account>_<name>.
        prefix, _, name = word.partition("_")
        return name if name and prefix.startswith("pe") else word

    def email_events(
        self, stream: Stream, cursor: Cursor | None, until: datetime
    ) -> Iterator[Page]:
        """Opens and clicks of marketing e-mail, all contacts at a time, without those of bots.

        No order is promised: the whole window counts as unread until its end is reached.
        """
        since, until, (begun, offset) = _resumed(cursor, until)
        try:
            for word in EMAIL_EVENTS[EMAIL_EVENTS.index(begun) if begun in EMAIL_EVENTS else 0 :]:
                while True:
                    page = self._gateway.email_events(
                        word, milliseconds(since or EPOCH), milliseconds(until), offset
                    )
                    events = [e for e in page["events"] if not e.get("filteredEvent")]
                    sent = [(e.get("recipient"), self._email_row(e)) for e in events]
                    rows = self._joined([(to, row) for to, row in sent if to])
                    lost = [_nobodys(row) for to, row in sent if not to]
                    yield self._page(stream, rows, Cursor(since, f"{word}:{offset}", until), lost)
                    offset = page["offset"] if page.get("hasMore") else ""
                    if not offset:
                        break
        except MissingScope:
            yield from self._last(stream, LAST_EMAIL, cursor, until)
            return
        yield self._page(stream, [], Cursor(stamp=until))

    def _email_row(self, event: Json) -> Json:
        campaign = event.get("emailCampaignId")
        return {
            "id": event.get("id"),
            "object_type": "email_events",
            "type": self._type(event.get("type") or ""),
            "occurred_at": event.get("created"),
            "campaign": str(campaign) if campaign else None,
        }

    def form_submissions(
        self, stream: Stream, cursor: Cursor | None, until: datetime
    ) -> Iterator[Page]:
        """Submissions of every form, newest first, back to the cursor."""
        since, until, (begun, after) = _resumed(cursor, until)
        try:
            # In an order of our own: the place to go on from must not move with theirs.
            forms = sorted(self._forms(), key=lambda form: str(form["id"]))
            place = next((n for n, form in enumerate(forms) if form["id"] == begun), None)
            for form in forms[place or 0 :]:
                first = after if form["id"] == begun else ""
                for rows, read in self._submissions(form, since, until, first):
                    reached = Cursor(since, f"{form['id']}:{read}", until)
                    yield self._page(stream, self._joined(rows), reached)
        except MissingScope:
            yield from self._last(stream, LAST_FORM, cursor, until)
            return
        yield self._page(stream, [], Cursor(stamp=until))

    def _forms(self) -> Iterator[Json]:
        after = ""
        while True:
            page = self._gateway.forms(after)
            # An HTTP client takes these for a way to another address; HubSpot gives UUIDs.
            yield from (form for form in page["results"] if form["id"] not in (".", ".."))
            after = next_page(page)
            if not after:
                return

    def _submissions(
        self, form: Json, since: datetime | None, until: datetime, after: str
    ) -> Iterator[tuple[list[tuple[str, Json]], str]]:
        """Submissions of a form in the window, and the token of the last page that was read."""
        oldest, newest = milliseconds(since) if since else 0, milliseconds(until)
        rows: list[tuple[str, Json]] = []
        while True:
            read = after
            try:
                page = self._gateway.submissions(form["id"], read)
            except Gone:
                yield rows, read
                return
            found = [(submission.get("submittedAt"), submission) for submission in page["results"]]
            for at, submission in found:
                # Without a time it cannot be placed: it is rejected as a row.
                if not isinstance(at, int) or oldest <= at <= newest:
                    rows.append((_email_of(submission), self._form_row(form, submission)))
            after = next_page(page)
            reached = any(isinstance(at, int) and at < oldest for at, _ in found)
            if not after or reached or len(rows) >= PAGE:
                yield rows, read
                rows = []
            if not after or reached:
                return

    def _form_row(self, form: Json, submission: Json) -> Json:
        return {
            "id": submission.get("conversionId"),
            "object_type": "form_submissions",
            "type": self._type("form_submission"),
            "occurred_at": submission.get("submittedAt"),
            "asset": form.get("name"),
        }

    def _joined(self, rows: Sequence[tuple[str, Json]]) -> list[Json]:
        """Rows with the contact that has their e-mail address; others belong to nobody."""
        wanted = {email.lower() for email, _ in rows if email}
        known: dict[str, str] = {}
        for contact in self._gateway.read(
            CONTACTS, sorted(wanted), ["email", "hs_additional_emails"], id_property="email"
        ):
            properties = contact["properties"]
            others = (properties.get("hs_additional_emails") or "").split(";")
            for email in (properties.get("email") or "", *others):
                known[email.lower()] = contact["id"]
        return [
            {**row, "lead_id": known[email.lower()]}
            for email, row in rows
            if email and email.lower() in known
        ]

    def _last(
        self,
        stream: Stream,
        lasts: Sequence[LastEvent],
        cursor: Cursor | None,
        until: datetime,
    ) -> Iterator[Page]:
        """The last events of contacts, each under an id that stays the same."""
        since = cursor.stamp if cursor and cursor.stamp else None
        for last in lasts:
            window = Cursor(stamp=since, until=until)
            properties = [last.at, *([last.asset] if last.asset else [])]
            for chunk in searched(self._gateway, CONTACTS, properties, last.at, window, until):
                rows = [self._last_row(stream, last, contact) for contact in chunk.records]
                yield self._page(stream, rows, cursor or Cursor())
        yield self._page(stream, [], Cursor(stamp=until))

    def _last_row(self, stream: Stream, last: LastEvent, contact: Json) -> Json:
        at = contact["properties"][last.at]
        kind = self._type(last.word)
        return {
            "id": f"{contact['id']}-{kind}-{at}",
            "object_type": stream.name,
            "lead_id": contact["id"],
            "type": kind,
            "occurred_at": at,
            "asset": contact["properties"].get(last.asset),
        }

    def _type(self, word: str) -> str:
        return self._fields.activity_type(word) or TYPES.get(word, "")

    def _page(
        self,
        stream: Stream,
        rows: Iterable[Json],
        cursor: Cursor,
        lost: Sequence[RowProblem] = (),
    ) -> Page:
        """A page of events, each once; an event is never changed after it happened."""
        once = list({row["id"]: row for row in rows}.values())
        names = dict.fromkeys(name for row in once for name in row)
        raw: dict[str, list[Any]] = {name: [row.get(name) for row in once] for name in names}
        raw.setdefault("id", [])
        raw["modified_at"] = raw.get("occurred_at", [])
        mapped = table(Activity, raw)
        return Page(stream, mapped.rows, cursor, (), (*lost, *mapped.rejected))


def _resumed(
    cursor: Cursor | None, until: datetime
) -> tuple[datetime | None, datetime, tuple[str, str]]:
    """The window to read, and where in it to go on: a kind or form, and a page's token.

    That page is read again: what vanished moves up those after it. No token is trusted for long.
    """
    if cursor is None or cursor.until is None or until - cursor.until > timedelta(days=1):
        return cursor.stamp if cursor else None, until, ("", "")
    begun, _, token = cursor.id.partition(":")
    return cursor.stamp, cursor.until, (begun, token)


def _email_of(submission: Json) -> str:
    """The address that was submitted; empty when the form asked for none."""
    given = submission.get("values") or ()
    return next((v.get("value") or "" for v in given if v.get("name") == "email"), "")


def _nobodys(event: Json) -> RowProblem:
    """Why an e-mail event is left out that does not say whose it is."""
    return RowProblem(event["id"] or "", "lead_id", "is missing: an event without a recipient")


def _seconds(duration: str | None) -> int | str | None:
    """A duration in milliseconds in whole seconds; what is no number stays, to be reported."""
    try:
        return int(values.number(duration)) // 1_000 if duration else None
    except values.Unreadable:
        return duration
