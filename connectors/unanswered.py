"""Writes without an answer: read back, then sent once more, and never taken for not sent."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from connectors.base import Change, Status, WriteResult
from connectors.errors import ConnectorError, OutcomeUnknown, TemporaryError

Attempt = Callable[[Sequence[Change]], Iterable[WriteResult]]


def unknown(changes: Iterable[Change], reason: str = "") -> Iterator[WriteResult]:
    """Nothing is known of some changes."""
    return (WriteResult(change, Status.UNKNOWN, reason=reason) for change in changes)


def settled(
    changes: Sequence[Change],
    error: OutcomeUnknown,
    arrived: Attempt,
    resend: Attempt | None,
) -> Iterator[WriteResult]:
    """What became of changes that were sent and got no answer but `error`.

    `arrived` gives those whose records hold them. The others are sent once more, unless that was
    done before (`resend` None). What then is not known is told as unknown, and the reason raised:
    it lasts, so nothing further is to be begun.
    """
    left = {change.id: change for change in changes}

    def tried() -> Iterator[WriteResult]:
        yield from arrived(changes)
        if left and resend is None:
            raise error
        if left and resend is not None:
            yield from resend([*left.values()])

    try:
        for result in tried():
            del left[result.change.id]
            yield result
    except ConnectorError as failure:
        yield from unknown(left.values(), str(failure))
        raise


def complete(changes: Sequence[Change], results: Iterable[WriteResult]) -> Iterator[WriteResult]:
    """Results of all changes; what passes by itself is no error where each has its result."""
    left = len(changes)
    try:
        for result in results:
            left -= 1
            yield result
    except TemporaryError:
        if left:
            raise
