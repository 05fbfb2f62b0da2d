"""How text is made alike before it is compared: case and the white space around it do not count."""

import ibis
from ibis.expr.types import StringValue


def trimmed(text: StringValue) -> StringValue:
    """Without the white space around it.

    Not Ibis's own strip(): what Ibis 12 makes of it for Spark takes off the letters f and v too.
    """
    return text.re_replace(r"^\s+|\s+$", "")


def folded(text: StringValue) -> StringValue:
    """In lower case, without the white space around it."""
    return trimmed(text).lower()


def word(text: str) -> StringValue:
    """A text of the model in lower case, without the white space around it.

    What every engine agrees on is done here, where it is done once for all expressions.
    """
    if text.isascii():
        return ibis.literal(text.strip(" \t\n\f\r").lower())
    return folded(ibis.literal(text))
