"""Canonical words for what people type: industries, titles, states, regions, domains.

Both CRMs are read through these functions, so that one rule in a model file fits both. All are
pure and table-driven; an unknown word is never guessed at.
"""

import re
import unicodedata
from collections.abc import Mapping

_INDUSTRIES: Mapping[str, str] = {
    "technology": "technology tech information_technology it software computer_software "
    "computer_hardware computer_networking internet information_technology_services "
    "computer_network_security electronics saas",
    "healthcare": "healthcare health_care hospital_health_care health "
    "medical_devices medical_practice mental_health_care health_wellness_fitness",
    "education": "education education_management higher_education e_learning "
    "primary_secondary_education",
    "manufacturing": "manufacturing machinery industrial_automation "
    "electrical_electronic_manufacturing mechanical_or_industrial_engineering",
    "financial_services": "financial_services finance banking insurance investment_banking "
    "investment_management capital_markets",
    "retail": "retail consumer_goods supermarkets wholesale",
    "energy": "energy oil_energy utilities renewables_environment",
}
_INDUSTRY = {word: name for name, words in _INDUSTRIES.items() for word in words.split()}

_REGIONS: Mapping[str, str] = {
    "north_america": "BM CA GL MX PM US",
    "latin_america": "AG AI AR AW BB BL BO BQ BR BS BZ CL CO CR CU CW DM DO EC FK GD GF GP GT "
    "GY HN HT JM KN KY LC MF MQ MS NI PA PE PR PY SR SV SX TC TT UY VC VE VG VI",
    "europe": "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS "
    "IT JE LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK",
    "asia": "AE AF AM AZ BD BH BN BT CC CN CX GE HK ID IL IN IQ IR JO JP KG KH KP KR KW KZ LA LB "
    "LK MM MN MO MV MY NP OM PH PK PS QA SA SG SY TH TJ TL TM TR TW UZ VN YE",
    "africa": "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW IO KE KM LR "
    "LS LY MA MG ML MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TF TG TN TZ UG YT "
    "ZA ZM ZW",
    "oceania": "AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TO TV UM VU WF WS",
}
_REGION = {code: name for name, codes in _REGIONS.items() for code in codes.split()}

_STATES: Mapping[str, str] = {
    "alabama": "AL",
    "alaska": "AK",
    "arizona": "AZ",
    "arkansas": "AR",
    "california": "CA",
    "colorado": "CO",
    "connecticut": "CT",
    "delaware": "DE",
    "district of columbia": "DC",
    "florida": "FL",
    "georgia": "GA",
    "hawaii": "HI",
    "idaho": "ID",
    "illinois": "IL",
    "indiana": "IN",
    "iowa": "IA",
    "kansas": "KS",
    "kentucky": "KY",
    "louisiana": "LA",
    "maine": "ME",
    "maryland": "MD",
    "massachusetts": "MA",
    "michigan": "MI",
    "minnesota": "MN",
    "mississippi": "MS",
    "missouri": "MO",
    "montana": "MT",
    "nebraska": "NE",
    "nevada": "NV",
    "new hampshire": "NH",
    "new jersey": "NJ",
    "new mexico": "NM",
    "new york": "NY",
    "north carolina": "NC",
    "north dakota": "ND",
    "ohio": "OH",
    "oklahoma": "OK",
    "oregon": "OR",
    "pennsylvania": "PA",
    "puerto rico": "PR",
    "rhode island": "RI",
    "south carolina": "SC",
    "south dakota": "SD",
    "tennessee": "TN",
    "texas": "TX",
    "utah": "UT",
    "vermont": "VT",
    "virginia": "VA",
    "washington": "WA",
    "washington dc": "DC",
    "west virginia": "WV",
    "wisconsin": "WI",
    "wyoming": "WY",
}
_STATE_CODES = frozenset(_STATES.values())

_US_REGIONS: Mapping[str, str] = {
    "northeast": "CT MA ME NH NJ NY PA RI VT",
    "midwest": "IA IL IN KS MI MN MO ND NE OH SD WI",
    "south": "AL AR DC DE FL GA KY LA MD MS NC OK SC TN TX VA WV",
    "west": "AK AZ CA CO HI ID MT NM NV OR UT WA WY",
    "territory": "PR",
}
"""The four regions of the US census, and what belongs to none of them."""
_US_REGION = {code: name for name, codes in _US_REGIONS.items() for code in codes.split()}

_ABBREVIATION = re.compile(r"\b(?:[^\W\d_]\.){2,}")
_VICE_PRESIDENT = re.compile(r"\b(?:(?:senior|executive|assistant|associate) )?vice president\b")
_ADDRESS = re.compile(r"(?:https?://[^/?#]*(?=[/?#]|$)|(?=/))([^?#]*)", re.IGNORECASE)
_SUBORDINATE = re.compile(
    r"\b(assistant|secretary|aide|intern|trainee|student|pa|ea|former|ex|office of)\b"
    r"(?! (vp|director|manager|general|professor))"
)
"""Words that say the rank which follows, or stands before, is somebody else's."""

Table = tuple[tuple[str, re.Pattern[str]], ...]


def _table(*rows: tuple[str, str]) -> Table:
    return tuple((name, re.compile(rf"\b(?:{words})\b")) for name, words in rows)


_SENIORITIES = _table(
    (
        "executive",
        r"c[a-z]o|ciso|chro|chief(?: \w+){1,5} officer|chief executive|chairman|chairwoman|chair"
        r"|president|(?:co ?)?founder|(?<!product )(?<!process )owner|managing director"
        r"|(?:managing|general) partner",
    ),
    ("director", r"[aes]?vp|director|head"),
    ("manager", r"manager|mgr|team lead(?:er)?|supervisor"),
)
_FUNCTIONS = _table(
    ("security", r"security|ciso"),
    ("marketing", r"marketing|cmo|brand|demand generation|growth|content|seo"),
    ("sales", r"sales|cro|revenue|business development|account (?:executive|manager)"),
    ("finance", r"finance|financial|cfo|accounting|accountant|controller|treasurer"),
    ("people", r"hr|human resources|people|chro|talent|recruit(?:er|ing|ment)"),
    ("legal", r"legal|counsel|attorney|lawyer|compliance"),
    ("support", r"support|customer (?:success|service|care)"),
    (
        "engineering",
        r"engineer(?:s|ing)?|developers?|cto|cio|technology|technical|software|it|information"
        r"|architect|devops|data|systems?",
    ),
    ("product", r"product|cpo"),
    ("operations", r"operations|operating|coo|supply chain|logistics|procurement|purchasing"),
    ("education", r"teacher|professor|lecturer|student|dean"),
    (
        "administration",
        r"assistant(?! (?:vp|director|manager|general|professor))|secretary|office|administrator",
    ),
    ("management", r"ceo|chief executive|managing director|president|(?:co ?)?founder|owner"),
)


def _words(text: str) -> str:
    """Lower case words parted by single blanks: `V.P., R&D` -> `vp r and d`."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    folded = _ABBREVIATION.sub(lambda found: found[0].replace(".", ""), folded)
    return " ".join(re.sub(r"[^\w]|_", " ", folded.replace("&", " and ")).split())


def _own_words(title: str) -> str:
    """The words of a title that name its bearer: what follows `to` is whom they work for."""
    own = f"{_words(title)} ".partition(" to ")[0].strip()
    return _VICE_PRESIDENT.sub("vp", own)


def _first(table: Table, words: str) -> str | None:
    return next((name for name, pattern in table if pattern.search(words)), None)


def seniority(title: str) -> str | None:
    """The highest rank that a job title names: executive, director, manager, else staff.

    A vice president counts as a director. Whoever assists an executive is staff. None for a
    text without a letter.
    """
    words = _own_words(title)
    if not any(character.isalpha() for character in words):
        return None
    if _SUBORDINATE.search(words):
        return "staff"
    return _first(_SENIORITIES, words) or "staff"


def function(title: str) -> str | None:
    """The line of work that a job title names: engineering, marketing, ...; None: not said."""
    return _first(_FUNCTIONS, _own_words(title))


def industry(text: str) -> str:
    """The canonical industry; one that is not known stays as trimmed lower-case text."""
    words = _words(text)
    return _INDUSTRY.get(words.replace(" and ", " ").replace(" ", "_"), text.strip().casefold())


def region(country: str) -> str | None:
    """The region of an ISO 3166 alpha-2 code: north_america (US, CA, MX), latin_america,
    europe, asia, africa or oceania; None for any other text."""
    return _REGION.get(country)


def us_state(text: str) -> str:
    """The two letters of a US state given by name or code; any other text stays, trimmed."""
    code = text.strip().upper()
    return code if code in _STATE_CODES else _STATES.get(_words(text), text.strip())


def us_region(state: str) -> str | None:
    """The census region of a US state in two letters: northeast, midwest, south or west; or
    territory. None for any other text."""
    return _US_REGION.get(state)


def domain(text: str) -> str | None:
    """The domain of a web address or domain, lower case: no scheme, user, www., port or path.

    None where there is no domain in it.
    """
    address = re.sub(r"^([a-z][a-z0-9+.-]*:)?//", "", text.strip().casefold())
    host = re.split(r"[/?#]", address, maxsplit=1)[0].rpartition("@")[2].partition(":")[0]
    name = host.removeprefix("www.").rstrip(".")
    return name if re.fullmatch(r"[\w-]+(\.[\w-]+)+", name) else None


def path(text: str) -> str:
    """The path of a web address (`https://x.example/pricing/?a=1` -> `/pricing`); a text that
    is neither an address nor a path stays."""
    address = _ADDRESS.match(text)
    return address[1].rstrip("/") or "/" if address else text


SENIORITIES = (*(name for name, _pattern in _SENIORITIES), "staff")
FUNCTIONS = tuple(name for name, _pattern in _FUNCTIONS)
INDUSTRIES = tuple(_INDUSTRIES)
REGIONS = tuple(_REGIONS)
US_REGIONS = (*_US_REGIONS, "abroad")


def word(text: str) -> str:
    """A kind of thing as one word: `Page View` -> `page_view`."""
    return _words(text).replace(" ", "_")
