"""Verify: what the CRM acknowledged is read back, and what it did not keep does not count as ours.

A CRM may say that all went well and hold something else: an assignment rule gave the lead to
another owner, a workflow set the field back, a bulk job changed nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from connectors.base import Connector, Status, WriteResult
from connectors.errors import ConnectorError
from core.decision import Output
from core.diff import Values
from sync.ledger_rows import NOT_KEPT


def borne_out(connector: Connector, results: Sequence[WriteResult]) -> list[WriteResult]:
    """Acknowledged results as the CRM bears them out when it is asked what it holds.

    What it kept is written; what it did not keep is refused, with a code of our own. A record of
    which it kept a part has one result of each kind. Where it cannot be asked, nothing is known:
    the next run reads it back.
    """
    held: dict[tuple[str, str], Values] = {}
    try:
        for object_type in dict.fromkeys(result.change.object_type for result in results):
            ids = [r.change.id for r in results if r.change.object_type == object_type]
            found = connector.read_back(object_type, ids)
            held |= {(object_type, id_): values for id_, values in found.items()}
    except ConnectorError as error:
        reason = f"written, but not read back: {error}"
        return [replace(r, status=Status.UNKNOWN, code="", reason=reason) for r in results]
    return [
        part
        for result in results
        for part in _parts(result, held.get((result.change.object_type, result.change.id)))
    ]


def _parts(result: WriteResult, held: Values | None) -> Iterator[WriteResult]:
    change = result.change
    if held is None:
        yield replace(result, status=Status.REFUSED, code=NOT_KEPT, reason="the record is gone")
        return
    lost = {o: value for o, value in change.values.items() if held.get(o) != value}
    kept = {o: value for o, value in change.values.items() if o not in lost}
    if kept:
        yield replace(result, change=replace(change, values=kept))
    if lost:
        reason = "; ".join(_difference(output, lost, held) for output in lost)
        yield WriteResult(replace(change, values=lost), Status.REFUSED, NOT_KEPT, reason)


def _difference(output: Output, sent: Mapping[Output, str | None], held: Values) -> str:
    """What was sent and what the CRM holds instead; free text may be about a person."""
    if output is Output.REASON:
        return "reason: the CRM holds another text"
    return f"{output}: sent {sent[output] or 'empty'}, the CRM holds {held.get(output) or 'empty'}"
