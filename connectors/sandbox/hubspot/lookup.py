"""What a computed property may ask of the other records; `index.Index` answers it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from connectors.sandbox.crm import Record


class Lookup(Protocol):
    """The records around one record."""

    @property
    def people_of_account(self) -> Mapping[int, list[Record]]:
        """Contacts by the number of their company."""

    @property
    def deals_of_account(self) -> Mapping[int, list[Record]]:
        """Deals by the number of their company."""

    @property
    def merged_into(self) -> Mapping[int, list[int]]:
        """Numbers of the merged and converted records by their survivor's number."""

    def account_of(self, record: Record) -> Record | None:
        """The company of a record, or None."""

    def company(self, number: int | None) -> Record | None:
        """The company that a number now stands for, or None."""

    def merged_emails(self, person: Record) -> Sequence[str]:
        """The further addresses that a contact has from merged ones."""

    def of_type(self, person: Record, type: str) -> Sequence[Record]:
        """A person's activities of one type, the latest last."""

    def events(self, person: Record) -> Sequence[Record]:
        """A person's events, page views and custom ones, the latest last."""

    def last(self, person: Record, type: str, value: str) -> Any:
        """A value of a person's latest activity of one type; None when there is none."""
