"""Cells of CSV that people open in a spreadsheet: none of them may be run as a formula."""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def neutralised(text: str) -> str:
    """A text that a spreadsheet does not take for a formula: with an apostrophe before it."""
    return f"'{text}" if _FORMULA.match(text) else text


def plain(text: str) -> str:
    """The text that was neutralised; any other stays."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
