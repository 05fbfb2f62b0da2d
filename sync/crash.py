"""What went wrong unexpectedly, for whoever mends it: where in the program, nothing of the data.

What errors say is left out: it may name people, or repeat what was sent to log in.
"""

import os
import tempfile
import traceback
from collections.abc import Iterator


def keep(error: BaseException) -> str:
    """Keep the trace of an error in a file of its owner's alone; how to speak of it."""
    kind = _kind(error)
    try:
        handle, path = tempfile.mkstemp(prefix="leadgauge-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(_trace(error))
    except OSError as failure:
        return f"unexpected error ({kind}); its details could not be kept: {failure.strerror}"
    return (
        f"unexpected error ({kind}). Nothing that was acknowledged is lost; where it happened is "
        f"in {path}, without any data: please report it with that file"
    )


def _trace(error: BaseException) -> Iterator[str]:
    """The lines of the program that an error, and before it what led to it, went through."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _trace(before)
        yield "which led to:\n"
    yield from traceback.format_list(traceback.extract_tb(error.__traceback__))
    yield f"{_kind(error)}\n"


def _kind(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
