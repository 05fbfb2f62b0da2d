"""The words that both CRMs' free texts become."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import normalise


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("Technology", "technology"),
        ("Technology ", "technology"),
        ("tech", "technology"),
        ("COMPUTER_SOFTWARE", "technology"),
        ("Information Technology & Services", "technology"),
        ("Healthcare", "healthcare"),
        ("HOSPITAL_HEALTH_CARE", "healthcare"),
        ("Hospital & Health Care", "healthcare"),
        ("Education", "education"),
        ("EDUCATION_MANAGEMENT", "education"),
        ("MACHINERY", "manufacturing"),
        ("Financial Services", "financial_services"),
        ("FINANCIAL_SERVICES", "financial_services"),
        ("RETAIL", "retail"),
        ("OIL_ENERGY", "energy"),
        (" Beekeeping ", "beekeeping"),
        ("Biotech", "biotech"),
    ],
)
def test_industry(text: str, canonical: str) -> None:
    """S140: both CRMs' words for an industry are one word; an unknown one stays."""
    assert normalise.industry(text) == canonical


@pytest.mark.parametrize(
    ("title", "seniority", "function"),
    [
        ("CTO", "executive", "engineering"),
        ("Chief Technology Officer", "executive", "engineering"),
        ("C.T.O.", "executive", "engineering"),
        ("CEO", "executive", "management"),
        ("CEO & Co-Founder", "executive", "management"),
        ("Chief Executive Officer", "executive", "management"),
        ("Chief Information Security Officer", "executive", "security"),
        ("President", "executive", "management"),
        ("Managing Director", "executive", "management"),
        ("Director and CEO", "executive", "management"),
        ("Assistant to the CEO", "staff", "administration"),
        ("Executive Assistant to the Chief Technology Officer", "staff", "administration"),
        ("CEO's Assistant", "staff", "administration"),
        ("Office of the CTO", "staff", "engineering"),
        ("PA to CEO", "staff", None),
        ("Former CEO", "staff", "management"),
        ("Vice President, Sales", "director", "sales"),
        ("V.P. Marketing", "director", "marketing"),
        ("SVP Engineering", "director", "engineering"),
        ("Assistant Vice President", "director", None),
        ("Head of IT", "director", "engineering"),
        ("Director of Finance", "director", "finance"),
        ("Marketing Manager", "manager", "marketing"),
        ("Assistant Manager", "manager", None),
        ("Project Mgr.", "manager", None),
        ("Product Owner", "staff", "product"),
        ("Account Executive", "staff", "sales"),
        ("Software Engineer", "staff", "engineering"),
        ("Cook", "staff", None),
        ("Ｃ Ｔ Ｏ", "staff", None),
        ("ＣＴＯ", "executive", "engineering"),
        ("工程师", "staff", None),
        ("--", None, None),
    ],
)
def test_titles(title: str, seniority: str | None, function: str | None) -> None:
    """S141, S142: a title gives its bearer's rank, not that of whom they assist."""
    assert (normalise.seniority(title), normalise.function(title)) == (seniority, function)


@pytest.mark.parametrize(
    ("country", "region"),
    [
        ("US", "north_america"),
        ("CA", "north_america"),
        ("MX", "north_america"),
        ("DE", "europe"),
        ("GB", "europe"),
        ("JP", "asia"),
        ("BR", "latin_america"),
        ("NA", "africa"),
        ("AU", "oceania"),
        ("ZZ", None),
    ],
)
def test_region(country: str, region: str | None) -> None:
    """S143: the region follows from the country."""
    assert normalise.region(country) == region


STATES = (
    "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH "
    "NJ NM NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY"
)


def test_the_us_midwest() -> None:
    """S023: the 12 states of the census, and each of the 50 and D.C. in one of its regions."""
    states = STATES.split()
    regions = [normalise.us_region(state) for state in states]
    midwest = ["IA", "IL", "IN", "KS", "MI", "MN", "MO", "ND", "NE", "OH", "SD", "WI"]
    assert {s for s in states if normalise.us_region(s) == "midwest"} == set(midwest)
    counts = {name: regions.count(name) for name in ("northeast", "midwest", "south", "west")}
    assert counts == {"northeast": 9, "midwest": 12, "south": 17, "west": 13}
    assert (sum(counts.values()), len(states), normalise.us_region("Ohio")) == (51, 51, None)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("California", "CA"),
        ("  new york ", "NY"),
        ("ca", "CA"),
        ("Washington, D.C.", "DC"),
        ("Puerto Rico", "PR"),
        (" Bavaria ", "Bavaria"),
        ("XX", "XX"),
    ],
)
def test_us_state(text: str, state: str) -> None:
    """A state of the US in two letters, however it was written."""
    assert normalise.us_state(text) == state


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("https://www.Buyer.example/about?x=1", "buyer.example"),
        ("buyer.example", "buyer.example"),
        ("WWW.BUYER.EXAMPLE:8080/", "buyer.example"),
        ("http://user@sales.buyer.example.", "sales.buyer.example"),
        ("http://[broken", None),
        ("buyer", None),
        ("Buyer Ltd. and Sons", None),
        ("n/a", None),
    ],
)
def test_domain(text: str, domain: str | None) -> None:
    """A web address and a domain of one firm give the same domain."""
    assert normalise.domain(text) == domain


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("https://www.seller.example/pricing", "/pricing"),
        ("HTTPS://www.seller.example/pricing/?utm=1#top", "/pricing"),
        ("/pricing", "/pricing"),
        ("https://www.seller.example", "/"),
        ("Product datasheet", "Product datasheet"),
    ],
)
def test_path(text: str, path: str) -> None:
    """S144: a page is known by its path, whichever CRM saw the visit."""
    assert normalise.path(text) == path


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    """No text makes a normaliser fail, and what is canonical stays as it is."""
    assert normalise.seniority(text) in {"executive", "director", "manager", "staff", None}
    normalise.function(text)
    for canonical in (normalise.us_state, normalise.path, normalise.word):
        assert canonical(canonical(text)) == canonical(text)
    found = normalise.domain(text)
    assert found is None or normalise.domain(found) == found
    assert normalise.industry(normalise.industry(text)) == normalise.industry(text)
