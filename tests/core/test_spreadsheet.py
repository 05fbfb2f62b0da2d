"""Cells that a spreadsheet must not run."""

from hypothesis import given
from hypothesis import strategies as st

from core.spreadsheet import neutralised, plain


@given(st.text() | st.from_regex(r"'*[=+\-@\t\r].*"))
def test_no_text_is_a_formula(text: str) -> None:
    """No written text starts a formula, and every one is read back as it was."""
    cell = neutralised(text)
    assert cell[:1] not in set("=+-@\t\r")
    assert plain(cell) == text
