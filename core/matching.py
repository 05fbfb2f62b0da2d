"""Which account a lead belongs to: the one the CRM names, or the one with its e-mail domain.

A Salesforce Lead names no account at all, and a new contact often none yet. The domain of an
e-mail address says where somebody works, unless it is a free-mail provider's, or unless several
accounts share it: then nothing is guessed.
"""

from collections.abc import Mapping

import ibis
from ibis.expr.types import BooleanValue, StringValue, Table

from core.facts import ACCOUNTS
from core.folding import folded

_PROVIDERS: Mapping[str, str] = {
    "gmail": "com",
    "googlemail": "com",
    "yahoo": "com ca co.id co.in co.jp co.kr co.nz co.th co.uk co.za com.ar com.au com.br com.cn "
    "com.co com.hk com.mx com.my com.pe com.ph com.sg com.tr com.tw com.ve com.vn de dk es fi fr "
    "gr hu ie in it nl no pl pt ro se",
    "ymail": "com",
    "rocketmail": "com",
    "myyahoo": "com",
    "hotmail": "com be ca ch cl co.id co.il co.jp co.nz co.th co.uk co.za com.ar com.au com.br "
    "com.mx com.tr de dk es fi fr gr hu it nl no pt se sg",
    "outlook": "com at be cl co.id co.il co.nz co.th com.ar com.au com.br com.gr com.tr com.vn cz "
    "de dk es fr hu ie in it jp kr lv my ph pt sa sg sk",
    "live": "com at be ca cl cn co.uk co.za com.ar com.au com.mx com.pt de dk fi fr ie in it jp nl "
    "no ru se",
    "msn": "com",
    "passport": "com",
    "windowslive": "com",
    "aol": "com co.uk de es fr it",
    "aim": "com",
    "icloud": "com",
    "me": "com",
    "mac": "com",
    "proton": "me",
    "protonmail": "com ch",
    "pm": "me",
    "tutanota": "com de",
    "tuta": "com io",
    "fastmail": "com fm",
    "hushmail": "com",
    "hey": "com",
    "mail": "com ru ee bg",
    "email": "com cz",
    "inbox": "com lv ru",
    "list": "ru",
    "bk": "ru",
    "yandex": "com ru by kz ua com.tr",
    "ya": "ru",
    "rambler": "ru",
    "ukr": "net",
    "gmx": "com at ch de net fr es co.uk us",
    "web": "de",
    "t-online": "de",
    "freenet": "de",
    "arcor": "de",
    "posteo": "de net",
    "mailbox": "org",
    "bluewin": "ch",
    "aon": "at",
    "chello": "at nl",
    "orange": "fr",
    "wanadoo": "fr",
    "free": "fr",
    "laposte": "net",
    "sfr": "fr",
    "libero": "it",
    "virgilio": "it",
    "tiscali": "it co.uk",
    "alice": "it",
    "btinternet": "com",
    "ntlworld": "com",
    "virginmedia": "com",
    "sky": "com",
    "talktalk": "net",
    "ziggo": "nl",
    "planet": "nl",
    "kpnmail": "nl",
    "telenet": "be",
    "skynet": "be",
    "telia": "com",
    "wp": "pl",
    "o2": "pl",
    "onet": "pl",
    "interia": "pl",
    "seznam": "cz",
    "centrum": "cz sk",
    "abv": "bg",
    "freemail": "hu",
    "citromail": "hu",
    "sapo": "pt",
    "terra": "com.br es",
    "uol": "com.br",
    "bol": "com.br",
    "ig": "com.br",
    "globo": "com",
    "rediffmail": "com",
    "zohomail": "com in",
    "qq": "com",
    "foxmail": "com",
    "163": "com",
    "126": "com",
    "yeah": "net",
    "sina": "com cn",
    "sohu": "com",
    "139": "com",
    "aliyun": "com",
    "naver": "com",
    "hanmail": "net",
    "daum": "net",
    "nate": "com",
    "docomo": "ne.jp",
    "ezweb": "ne.jp",
    "comcast": "net",
    "verizon": "net",
    "att": "net",
    "sbcglobal": "net",
    "bellsouth": "net",
    "cox": "net",
    "charter": "net",
    "earthlink": "net",
    "optonline": "net",
    "juno": "com",
    "netzero": "net",
    "shaw": "ca",
    "rogers": "com",
    "sympatico": "ca",
    "videotron": "ca",
    "bigpond": "com net.au",
    "optusnet": "com.au",
    "xtra": "co.nz",
    "mailinator": "com",
    "yopmail": "com",
    "guerrillamail": "com",
}
FREE_MAIL = tuple(
    f"{name}.{suffix}" for name, suffixes in _PROVIDERS.items() for suffix in suffixes.split()
)
"""Domains of e-mail addresses that anybody can have: they say nothing of an employer."""

# One literal for Ibis to look at in every step of compiling, where a list is hundreds.
_FREE_MAIL = ibis.literal("\n".join(("", *FREE_MAIL, "")))


def matched(leads: Table, accounts: Table) -> Table:
    """`leads` with the `account_id` of the account they belong to, and whether it is `by_domain`.

    Both are the rows of one instant. A lead that names an account keeps it. One that does not
    gets the only account of its connection with the domain of its e-mail address.
    """
    # A plain equality of columns: with a further condition the join would compare every pair.
    asked = leads.mutate(
        domain=leads.account_id.isnull().ifelse(domain(leads.email), ibis.null("string"))
    )
    rows = asked.left_join(sure(accounts), ["connection", "domain"])
    account = rows.account_id.coalesce(rows.found)
    columns = {name: rows[name] for name in leads.columns if name != "account_id"}
    return rows.select(**columns, account_id=account, by_domain=rows.found.notnull())


def sure(accounts: Table) -> Table:
    """The domains by which a lead belongs to an account: connection, domain, found (the id).

    They are those of one account alone, and of no free-mail provider.
    """
    domains = accounts.group_by("connection", "domain").aggregate(
        found=accounts.id.min(), alike=accounts.count()
    )
    free = _FREE_MAIL.contains("\n" + domains.domain + "\n")
    return domains.filter(domains.alike == 1, ~free).drop("alike")


def domain(email: StringValue) -> StringValue:
    """The domain of an e-mail address, lower case."""
    return folded(email).re_extract(r"@([^@]+)$", 1)


def host(address: StringValue) -> StringValue:
    """The domain of a web address, lower case, without `www.`."""
    scheme, user = r"(?:(?:[a-z][a-z0-9+.-]*:)?//)?", r"(?:[^/?#@]*@)?"
    return folded(address).re_extract(rf"^{scheme}{user}(?:www\.)?([^/?#:]+)", 1)


def free_mail(email: StringValue) -> BooleanValue:
    """Whether anybody can have such an e-mail address; unknown where there is none."""
    return email.notnull().ifelse(domain(email).isin(FREE_MAIL), ibis.null("boolean"))


def surviving(rows: Table, aliases: Table) -> Table:
    """`rows`, the `account_id` of a merged account replaced by that of the account that remains.

    `aliases` has the columns of `core.facts.ALIASES`.
    """
    merged = aliases.filter(aliases.table_name == ACCOUNTS.name).select(
        "connection", "survivor", account_id="id"
    )
    found = rows.left_join(merged, ["connection", "account_id"])
    columns = {name: rows[name] for name in rows.columns if name != "account_id"}
    return found.select(**columns, account_id=merged.survivor.coalesce(rows.account_id))
