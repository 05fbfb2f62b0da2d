"""Which records may be one person, and which accounts one company: proposed, and never used.

Names are compared by how many letters differ, within blocks alone: the people of one company or
one e-mail domain, the accounts whose names begin with one word. A block of more than `BLOCK` says
nothing by its name, and is left out; so nobody is compared with more others than that, and the cost
grows with the records.
"""

import ibis
from ibis import _
from ibis.expr.types import BooleanValue, StringValue, Table

from core.folding import folded
from core.identity import RECORD, address
from core.matching import FREE_MAIL, domain

BLOCK = 100
"""How many records are compared with each other at most."""

LETTERS = 6
"""Of so many letters one may differ."""

FORMS = (
    *("ab", "ag", "aps", "as", "bv", "co", "company", "corp", "corporation", "cv", "eg", "ev"),
    *("gbr", "gmbh", "inc", "incorporated", "kft", "kg", "kgaa", "kk", "limited", "llc", "llp"),
    *("lp", "ltd", "ltda", "mbh", "nv", "ohg", "oy", "oyj", "plc", "pte", "pty", "pvt", "sa"),
    *("sarl", "sas", "se", "sl", "spa", "srl", "sro", "ug"),
)
"""Legal forms of companies, without dots."""


def firm(name: StringValue) -> StringValue:
    """The name of a company in lower case, without dots, commas and legal forms at its end."""
    plain = folded(name.re_replace("[.,]", ""))
    return plain.re_replace(rf"(\s+((&|\+|and|und)\s+)?({'|'.join(FORMS)}))+$", "")


def alike(leads: Table, members: Table) -> Table:
    """Records that may be one person, and are not known to be: connection, lead_id,
    other_connection, other_id, because.

    Of different connections or object types, and with another address: the same or a similar name
    at the same company or the same employer's domain, the same address but for a +tag, or a
    telephone number that nobody else of their kind has.
    """
    known = members.select(*RECORD, "person")
    named = leads.select(
        "connection",
        "object_type",
        lead_id="id",
        email=address(leads.email),
        name=folded(leads.first_name + " " + leads.last_name),
        company=firm(leads.company),
        host=_employer(domain(leads.email)),
        untagged=folded(leads.email).re_replace(r"\+[^@]*@", "@"),
        phone="phone_number",
    )
    # A number that two of one kind have is a switchboard's.
    sharing = _.count().over(group_by=("connection", "object_type", "phone"))
    named = named.mutate(sharing=sharing)
    named = named.mutate(phone=(named.sharing == 1).ifelse(named.phone, None))
    rows = named.left_join(known, RECORD).select(named, known.person)
    return _proposed(
        rows,
        same=(
            (["name", "company"], "name and company"),
            (["name", "host"], "name and e-mail domain"),
            (["untagged"], "address but for a tag"),
            (["phone"], "telephone number"),
        ),
        similar=(
            ("company", "similar name, and company"),
            ("host", "similar name, and e-mail domain"),
        ),
    )


def alike_accounts(accounts: Table, members: Table) -> Table:
    """Accounts that may be one company, and are not known to be: the columns of `alike`.

    Of different connections or object types: the same web domain, the same name but for its legal
    form, or a similar one that begins with the same word. `members` are those of
    `core.identity.companies`.
    """
    known = members.select("connection", lead_id="account_id", person="company")
    named = accounts.select(
        "connection",
        "object_type",
        lead_id="id",
        email=ibis.null("string"),
        name=firm(accounts.name),
        host=_employer(accounts.domain),
    )
    named = named.mutate(word=named.name.re_extract(r"^\S+", 0).nullif(""))
    rows = named.left_join(known, RECORD).select(named, known.person)
    return _proposed(
        rows,
        same=((["host"], "web domain"), (["name"], "name but for its legal form")),
        similar=(("word", "similar name"),),
    )


def _employer(host: StringValue) -> StringValue:
    return (host.notin(FREE_MAIL) & (host != "")).ifelse(host, None)


def _proposed(
    rows: Table,
    same: tuple[tuple[list[str], str], ...],
    similar: tuple[tuple[str, str], ...],
) -> Table:
    """The pairs of rows that have some columns in common, or a similar name within a block, and why
    of each the first by name."""
    plain = rows.mutate(letters=rows.name.re_replace(r"[^\x00-\x7F]", "?"))
    found = [_pairs(plain, columns, because) for columns, because in same]
    for column, because in similar:
        sized = plain.mutate(size=_.count().over(group_by=column))
        block = sized.filter(_.size > 1, _.size <= BLOCK, sized[column].notnull()).drop("size")
        found.append(_pairs(block, [column], because, near=True))
    pairs = ibis.union(*found)
    return pairs.group_by(pairs.columns[:-1]).aggregate(because=pairs.because.min())


def _pairs(rows: Table, columns: list[str], because: str, *, near: bool = False) -> Table:
    # A view of its own, because both sides of a join are the same rows.
    pairs = rows.join(rows.view(), columns, rname="other_{name}")
    ordered = (pairs.connection < pairs.other_connection) | (
        (pairs.connection == pairs.other_connection) & (pairs.lead_id < pairs.other_lead_id)
    )
    same_kind = (pairs.connection == pairs.other_connection) & (
        pairs.object_type == pairs.other_object_type
    )
    one = (pairs.person == pairs.other_person).fill_null(False)
    claimed = (pairs.email == pairs.other_email).fill_null(False)
    fit = [_near(pairs.letters, pairs.other_letters)] if near else []
    return pairs.filter(ordered, ~same_kind, ~one, ~claimed, *fit).select(
        *RECORD,
        "other_connection",
        other_id="other_lead_id",
        because=ibis.literal(because),
    )


def _near(one: StringValue, other: StringValue) -> BooleanValue:
    """Whether few letters differ. They are plain ones: DuckDB counts the bytes of all others."""
    longest = ibis.greatest(one.length(), other.length())
    return one.levenshtein(other) * LETTERS <= longest
