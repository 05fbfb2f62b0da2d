"""Names and e-mail addresses that nobody has, as Ibis booleans over columns of text.

Only what cannot well be a person's is listed: a name is junk as a whole, or by words that are no
names (`Test Test`, `asdf`), so `Mickey Rourke` and `Clark Kent` are people. A name that is
missing (`unknown`, `not provided`) says nothing against its lead.
"""

from collections.abc import Collection
from string import ascii_lowercase

from disposable_email_domains import blocklist
from ibis.expr.types import BooleanValue, StringValue, Table

from core.folding import trimmed

DISPOSABLE = tuple(sorted(blocklist))
"""Domains of throw-away e-mail addresses."""

_NOBODY = (
    "mickey mouse, minnie mouse, donald duck, daisy duck, daffy duck, bugs bunny, elmer fudd, "
    "porky pig, homer simpson, bart simpson, fred flintstone, barney rubble, yogi bear, "
    "scooby doo, spongebob squarepants, papa smurf, winnie the pooh, kermit the frog, miss piggy, "
    "big bird, cookie monster, darth vader, luke skywalker, han solo, obi wan kenobi, "
    "frodo baggins, bilbo baggins, albus dumbledore, lord voldemort, captain america, "
    "santa claus, father christmas, easter bunny, tooth fairy, batman, superman, spiderman, "
    "john doe, jane doe, joe bloggs, fred bloggs, joe public, john q public, joe schmoe, "
    "max mustermann, erika mustermann, lieschen mueller, foo bar, foo baz, lorem ipsum, "
    "first last, firstname lastname, first name last name, your name, fake name, fake fake"
)
_JUNK_WORDS = "test tests tester testing testtest abc abcd abcde xyz blah dummy spam nobody noname"
_NEUTRAL_WORDS = "user lead contact name account person mr mrs ms"
_ROLES = (
    "abuse accounting accounts admin administration administrator all billing bookings careers "
    "compliance contact contactus customercare customerservice enquiries enquiry everyone feedback "
    "finance hello help helpdesk hostmaster hr info information inquiries inquiry invoice invoices "
    "it jobs legal mail mailbox marketing media news newsletter office orders postmaster press "
    "privacy procurement purchasing reception recruiting registrar root sales security service "
    "spam staff subscribe support team tech webmaster welcome"
)
_JUNK_LOCALS = (
    "test tester testing test1 test12 test123 fake noemail nomail noone nobody none null "
    "no-reply noreply donotreply do-not-reply spam abc abc123 abcd xyz na dummy"
)
_RESERVED = r"example\.(com|net|org|edu)|([^@]+\.)?(invalid|test|localhost|local)"

# Four letters of the upper row may be a word, or a name (Wert); of the others none is.
_ROWS = (("asdfghjkl", 4), ("zxcvbnm", 4), ("yxcvbnm", 4), ("qsdfghjklm", 4), ("lkjhgfdsa", 4),
         ("mnbvcxz", 4), ("qwertyuiop", 5), ("qwertzuiop", 5), ("azertyuiop", 5),
         ("poiuytrewq", 5))  # fmt: skip
_RUNS = {
    row[start : start + length]
    for row, least in _ROWS
    for length in range(least, len(row) + 1)
    for start in range(len(row) - length + 1)
} | {"qwer"}
_KEYBOARD = "(" + "|".join(sorted(_RUNS, key=lambda run: (-len(run), run))) + ")+"
_SAME = "|".join(f"{letter}{{3,}}" for letter in ascii_lowercase)
_ALONE = "|".join(rf"{letter}+@{letter}+\." for letter in ascii_lowercase)
_WORD = f"({'|'.join(_JUNK_WORDS.split())}|{_SAME}|[0-9]+)"
_BESIDE = f"({'|'.join(_NEUTRAL_WORDS.split())})"

# Words of a name are parted by one blank each.
_JUNK_NAME = f"^({_BESIDE} )*{_WORD}( ({_WORD}|{_BESIDE}))*$"
_KEYBOARD_NAME = f"(^| ){_KEYBOARD}( |$)"
_WEB_ADDRESS = r"https?://|www\."
_JUNK_LOCAL = f"({'|'.join(_JUNK_LOCALS.split())}|{_KEYBOARD}[0-9]*)"
_JUNK_EMAIL = rf"^({_JUNK_LOCAL}(\+[^@]*)?@|{_ALONE})|@({_RESERVED})$"


def words(text: StringValue) -> StringValue:
    """Lower-case words parted by single blanks, as `plain` makes them of text."""
    return trimmed(text.lower().re_replace(r"[^\p{L}\p{N}]+", " "))


def plain(text: str) -> str:
    """A text of a model file as `words` makes it of a column."""
    kept = (c if c.isalnum() else " " for c in text.lower())
    return " ".join("".join(kept).split())


def full_name(people: Table) -> StringValue:
    """What a person is called, as it is given."""
    return people.first_name.fill_null("") + " " + people.last_name.fill_null("")


def junk_name(name: StringValue, junk: Collection[str], real: Collection[str]) -> BooleanValue:
    """Whether a full name is nobody's; `junk` and `real` are further ones, in either order."""
    said = words(name)
    known = {*_NOBODY.split(", "), *map(plain, junk)}
    reversed_ = {" ".join(reversed(n.split())) for n in known if n.count(" ") == 1}
    found = (
        said.isin(sorted(known | reversed_))
        | said.re_search(_JUNK_NAME)
        | said.re_search(_KEYBOARD_NAME)
        | name.lower().re_search(_WEB_ADDRESS)
    )
    return found & said.notin([*map(plain, real), ""])


def junk_email(email: StringValue) -> BooleanValue:
    """Whether an e-mail address is made up: `asdf@...`, `a@a.com`, `x@example.com`."""
    return email.lower().re_search(_JUNK_EMAIL)


def role_email(email: StringValue, roles: Collection[str]) -> BooleanValue:
    """Whether an e-mail address is that of a role; `roles` are further ones."""
    return local_part(email).isin(sorted({*_ROLES.split(), *roles}))


def local_part(email: StringValue) -> StringValue:
    """What stands before the @, without a +tag."""
    return email.lower().re_extract(r"^([^@+]*)", 1)
