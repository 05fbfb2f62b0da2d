"""Countries as people type them -> ISO 3166 alpha-2 codes.

The names are those of the country_converter package. Its table is read here directly: the
package's own reader (1.3.2) fails under pandas 3, which takes Namibia's code NA and empty cells
for missing values, and importing it costs a second.
"""

import csv
import re
from functools import cache, lru_cache
from importlib.metadata import distribution
from pathlib import Path

_LOCAL = {
    "belgië": "BE",
    "belgique": "BE",
    "brasil": "BR",
    "danmark": "DK",
    "deutschland": "DE",
    "españa": "ES",
    "holland": "NL",
    "italia": "IT",
    "méxico": "MX",
    "nederland": "NL",
    "norge": "NO",
    "northern ireland": "GB",
    "polska": "PL",
    "schweiz": "CH",
    "scotland": "GB",
    "suisse": "CH",
    "suomi": "FI",
    "sverige": "SE",
    "wales": "GB",
    "österreich": "AT",
}
"""Names that the package's English patterns do not know."""


@cache
def _countries() -> tuple[dict[str, str], tuple[tuple[re.Pattern[str], str], ...]]:
    """ISO codes of two and three letters -> alpha-2 code; and patterns of names with theirs."""
    file = distribution("country_converter").locate_file("country_converter/country_data.tsv")
    codes: dict[str, str] = {}
    names: list[tuple[re.Pattern[str], str]] = []
    with Path(str(file)).open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            # A code with variants is written ^GB$|^UK$, the official one first.
            spellings = row["ISO2"].replace("^", "").replace("$", "").split("|")
            if row["obsolete"] or not spellings[0]:
                continue
            codes.update(dict.fromkeys([*spellings, row["ISO3"]], spellings[0]))
            names.append((re.compile(row["regex"], re.IGNORECASE), spellings[0]))
    return codes, tuple(names)


@lru_cache(maxsize=10_000)
def country_code(text: str) -> str | None:
    """The alpha-2 code of a country given by name or by code; None: not known, or not one."""
    codes, names = _countries()
    given = text.strip()
    code = codes.get(given.upper()) or _LOCAL.get(given.casefold())
    if code is not None or len(given) <= 2:
        return code
    found = {code for pattern, code in names if pattern.search(given)}
    return found.pop() if len(found) == 1 else None
