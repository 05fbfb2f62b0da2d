"""Canonical words for what people type: industries, titles, states, regions, domains.

Both CRMs are read through these functions, so that one rule in a model file fits both. All are
pure and table-driven; an unknown word is never guessed at.
"""

import re
import unicodedata
from collections.abc import Mapping
from urllib.parse import urlsplit

_INDUSTRIES: Mapping[str, str] = {
    "technology": "technology tech information_technology it software computer_software "
    "computer_hardware computer_networking internet information_technology_and_services "
    "computer_network_security electronics saas",
    "healthcare": "healthcare health_care hospital_health_care hospital_and_health_care health "
    "medical_devices medical_practice mental_health_care health_wellness_and_fitness",
    "education": "education education_management higher_education e_learning "
    "primary_secondary_education",
    "manufacturing": "manufacturing machinery industrial_automation "
    "electrical_electronic_manufacturing mechanical_or_industrial_engineering",
    "financial_services": "financial_services finance banking insurance investment_banking "
    "investment_management capital_markets",
    "retail": "retail consumer_goods supermarkets wholesale",
    "energy": "energy oil_energy oil_and_energy utilities renewables_environment",
}
_INDUSTRY = {word: name for name, words in _INDUSTRIES.items() for word in words.split()}

_REGIONS: Mapping[str, str] = {
    "north_america": "BM CA GL MX PM US",
    "latin_america": "AG AI AN AR AW BB BL BO BQ BR BS BZ CL CO CR CU CW DM DO EC FK GD GF GP GT "
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

_HELPS = re.compile(r"\b(assistant|secretary|pa|ea|aide|deputy|office) (to|of)\b|\b(pa|ea) to\b")
_SENIORITIES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(rf"\b({words})\b"))
    for name, words in (
        ("director", r"vice president|v ?p|s ?vp|e ?vp|a ?vp|director|head of|head"),
        (
            "executive",
            r"c[a-z]o|chief( [a-z]+){1,4} officer|chief executive|president|founder|co ?founder"
            r"|owner|managing director|managing partner|general partner",
        ),
        ("manager", r"manager|mgr|team lead|lead|supervisor|principal"),
    )
)
_ABBREVIATIONS = re.compile(r"\b(?:[a-z]\.){2,}")
_FUNCTIONS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(rf"\b({words})\b"))
    for name, words in (
        ("marketing", r"marketing|cmo|brand|demand generation|growth|content|seo"),
        ("sales", r"sales|cro|revenue|business development|account executive|account manager"),
        ("finance", r"finance|financial|cfo|accounting|controller|treasurer|accountant"),
        ("people", r"hr|human resources|people|chro|cpo|talent|recruit(er|ing|ment)"),
        ("security", r"security|ciso|cso"),
        (
            "engineering",
            r"engineer(s|ing)?|developers?|cto|technology|technical|software|it|cio|architect"
            r"|devops|data|information",
        ),
        ("product", r"product"),
        ("operations", r"operations|coo|supply chain|logistics|procurement|purchasing"),
        ("legal", r"legal|counsel|attorney|lawyer|compliance"),
        ("support", r"support|customer success|customer service|customer care"),
        ("education", r"teacher|professor|lecturer|student|dean|principal"),
        ("management", r"ceo|chief executive|president|founder|co ?founder|owner"),
    )
)
