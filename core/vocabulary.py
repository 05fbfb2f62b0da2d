"""Words that a condition asks for and that no fact holds, because facts hold canonical ones."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from difflib import get_close_matches

from core import normalise
from core.allowed import Occurs
from core.conditions import ActivityCondition, Condition
from core.findings import Finding, Placed
from core.mistakes import Place
from core.operators import TextTest

Canonical = Callable[[str], str | None]
"""What facts hold where people say a word; None: nothing, they hold no such word."""


def _code(text: str) -> str | None:
    return text if len(text.strip()) == 2 else None


@dataclass(frozen=True)
class Words:
    """What else is known of the words in facts: the code of a country by what people call it, and
    the fields whose words a mapping takes over as the CRM has them."""

    country: Canonical = _code
    own: Set[str] = frozenset()


CLOSED: Mapping[str, tuple[str, ...]] = {
    "seniority": normalise.SENIORITIES,
    "function": normalise.FUNCTIONS,
    "region": normalise.REGIONS,
    "us_region": normalise.US_REGIONS,
}
"""Field -> all words that it can hold, unless a mapping takes it over from the CRM."""

_NAMED: Mapping[str, str] = {
    "country": "the ISO 3166 code of a country, such as DE",
    "domain": "a web domain, such as acme.com",
}
"""What facts hold where a word is none of it."""


_HOLDS: Mapping[str, Callable[[str, str], bool]] = {
    "equals": str.__eq__,
    "contains": str.__contains__,
    "starts_with": str.startswith,
}
"""Whether a test of a word holds of one in facts, by its operator."""

_SAID: Mapping[str, str] = {"equals": "", "contains": " with", "starts_with": " beginning with"}

_NO_PART: Mapping[str, str] = {
    "country": r"...",
    "domain": r"[/:@\s]|^www\.",
    "type": r"\s",
    "asset": r"^https?://.",
}
"""What parts of words give away that they are none of a word in facts, as a pattern."""


def unheard(placed: Iterable[Placed], words: Words) -> Iterator[Finding]:
    """Words that conditions ask for and that no fact holds, each at its own place in a list."""
    for place, name, condition in placed:
        for inner, part in _nested(place, condition):
            for column, key, number, word in _asked(part):
                what = f"{name} asks for {column}{_SAID[key]} {word}"
                at = (*inner, *column.split("."), key, number)
                if said := _instead(words, part, column, word, key):
                    yield Finding("error", at, f"{what}, which no fact holds", f"Say {said}.")
                elif key == "equals" and (said := _elsewhere(column, word)):
                    what = f"{what}; of a lead in the US it is {said}"
                    yield Finding("warning", at, what, f"Say {said}, unless that is meant.")


def _asked(condition: Condition) -> Iterator[tuple[str, str, int, str]]:
    """The words that the tests of a condition ask for: column, operator, number in its list."""
    for column, test in condition.tests():
        for key in _HOLDS if isinstance(test, TextTest) else ():
            for number, word in enumerate(getattr(test, key) or ()):
                yield column, key, number, word


def occurs(condition: Condition, words: Words) -> Occurs:
    """Which columns of a condition can hold a word."""
    return lambda column, word, key: _instead(words, condition, column, word, key) is None


def _nested(place: Place, condition: Condition) -> Iterator[tuple[Place, Condition]]:
    """A condition and all that it is made of, each with its place."""
    yield place, condition
    for key, parts in (("all", condition.all_), ("any", condition.any_)):
        for number, part in enumerate(parts):
            yield from _nested((*place, key, number), part)
    if condition.not_:
        yield from _nested((*place, "not"), condition.not_)


def _instead(words: Words, condition: Condition, column: str, word: str, key: str) -> str | None:
    """What to say for a word that a column cannot hold, or for a part of one; None where it can."""
    field = column.removeprefix("account.")
    if field in words.own:
        return None
    if known := CLOSED.get(field):
        holds = any(_HOLDS[key](held, _plain(word)) for held in known)
        return None if holds else _one_of(field, known, words, word)
    canonical = _canonical(condition, words).get(field)
    if canonical is None:
        return None
    if key != "equals" and not re.search(_NO_PART.get(field, r"(?!)"), _plain(word)):
        return None
    said = canonical(word)
    if said is None:
        return _NAMED[field]
    return None if _plain(said) == _plain(word) else said


def _canonical(condition: Condition, words: Words) -> Mapping[str, Canonical]:
    """Field -> how facts have come to its words."""
    if isinstance(condition, ActivityCondition):
        return {"type": _type, "asset": normalise.path}
    return {
        "country": words.country,
        "domain": normalise.domain,
        "industry": normalise.industry,
    }


def _type(word: str) -> str:
    return normalise.word(word) if len(word.split()) > 1 else word


def _one_of(field: str, known: tuple[str, ...], words: Words, word: str) -> str:
    """Which of the words that a field can hold is meant; all of them where that is not clear."""
    code, alike = words.country(word), {_letters(name): name for name in known}
    read = {
        "seniority": normalise.seniority(word),
        "function": normalise.function(word),
        "region": normalise.region(code) if code else None,
        "us_region": normalise.us_region(normalise.us_state(word)),
    }[field]
    near = get_close_matches(_plain(word), known, 1, 0.75)
    meant = alike.get(_letters(word)) or (read if read != "staff" else None) or "".join(near)
    return meant or f"one of {', '.join(known)}"


def _elsewhere(column: str, word: str) -> str | None:
    """What facts of the US hold for a state; None where it is what the condition says."""
    if column.removeprefix("account.") != "state":
        return None
    said = normalise.us_state(word)
    return None if _plain(said) == _plain(word) else said


def _letters(word: str) -> str:
    return "".join(filter(str.isalpha, word.lower()))


def _plain(word: str) -> str:
    return word.strip().lower()
