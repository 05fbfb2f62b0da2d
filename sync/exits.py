"""The exit codes of the command line, and which error means which."""

from enum import IntEnum

from connectors.errors import (
    BudgetSpent,
    ConnectorError,
    CredentialsError,
    MappingError,
    QuotaExhausted,
    TemporaryError,
)
from sync.access import DeniedError
from sync.errors import StoreBusy, StoreError, StoreLost


class Exit(IntEnum):
    """What a command's exit code says; documented in docs/commands.md."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    CREDENTIALS = 3
    REFUSED = 4
    TEMPORARY = 5
    GUARD = 6
    LEASE = 7
    TAMPERED = 8
    ORPHANS = 9
    INTERRUPTED = 130


MEANING = {
    Exit.DONE: "done",
    Exit.UNEXPECTED: "unexpected error",
    Exit.USAGE: "usage, configuration or mapping: mend it and run again",
    Exit.CREDENTIALS: "credentials, scopes or permissions",
    Exit.REFUSED: "done, but the CRM refused some records",
    Exit.TEMPORARY: "temporary: run again later, nothing is lost",
    Exit.GUARD: "stopped by a guard before the first write, or at the budget of calls",
    Exit.LEASE: "another instance is running on the same stores",
    Exit.TAMPERED: "the audit chain was changed",
    Exit.ORPHANS: "there are leads that nobody works",
    Exit.INTERRUPTED: "interrupted after a clean stop",
}


def exit_of(error: ConnectorError | StoreError | DeniedError) -> Exit:
    """The exit code for what a connector, a store or a role refuses."""
    if isinstance(error, CredentialsError | DeniedError):
        return Exit.CREDENTIALS
    if isinstance(error, BudgetSpent):
        return Exit.GUARD
    if isinstance(error, StoreBusy):
        return Exit.LEASE
    if isinstance(error, TemporaryError | QuotaExhausted | StoreLost):
        return Exit.TEMPORARY
    if isinstance(error, MappingError | StoreError):
        return Exit.USAGE
    return Exit.UNEXPECTED
