"""Whether somebody can be reached at all: e-mail addresses and telephone numbers, by their syntax.

Both are read once for each distinct value, as a page is mapped: the libraries that know the rules
work on one text at a time, and scoring on whole columns. Nothing is looked up anywhere.
"""

import phonenumbers
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

# An address at one of these (`x@example.invalid`) is well written and made up: `core.junk` says so.
SPECIAL_USE_DOMAIN_NAMES.clear()

_standing = phonenumbers.is_possible_number_with_reason
_POSSIBLE = (ValidationResult.IS_POSSIBLE, ValidationResult.IS_POSSIBLE_LOCAL_ONLY)


def email_valid(address: str) -> bool:
    """Whether a text is an e-mail address at a domain of two words or more."""
    try:
        found = validate_email(address, check_deliverability=False)
    except EmailNotValidError:
        return False
    return "." in found.domain


def phone_number(phone: str, country: str | None) -> str | None:
    """A telephone number as E.164 has it (+49301234567), without its extension; None where it is
    none, or lacks its country or the code of its area.

    `country` (ISO 3166 alpha-2) counts where the number does not say its own.
    """
    found = _parsed(phone, country)
    if found is None or _standing(found) != ValidationResult.IS_POSSIBLE:
        return None
    return phonenumbers.format_number(found, PhoneNumberFormat.E164)


def phone_valid(phone: str, country: str | None) -> bool | None:
    """Whether a text can be a telephone number; None where that hangs on a country that is not
    known."""
    try:
        found = phonenumbers.parse(phone, country)
    except NumberParseException as error:
        unknown = error.error_type == NumberParseException.INVALID_COUNTRY_CODE
        return None if unknown and not phone.lstrip().startswith("+") else False
    return _standing(found) in _POSSIBLE


def _parsed(phone: str, country: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(phone, country)
    except NumberParseException:
        return None
