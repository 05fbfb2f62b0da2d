"""Who may run what: three roles, by the accounts of the machine that leadgauge runs on.

It keeps colleagues to what they are there for, and tells of every attempt. It is no wall: whoever
can write to the configuration or the ledger can do without the command line, so the files of the
stores belong to the account of the daemon alone.
"""

import os
import pwd
from enum import StrEnum

from pydantic import Field

from connectors.settings import Settings

EVERYONE = "*"


class Role(StrEnum):
    """What somebody may do; each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def reaches(self, least: "Role") -> bool:
        """Whether the role allows what takes another."""
        order = list(Role)
        return order.index(self) >= order.index(least)


OPERATES = frozenset({"check", "plan", "sync", "backfill", "daemon", "retry", "override", "answer"})
"""Commands that ask a CRM, write to it, decide what is written, or answer for sales."""

ADMINISTERS = frozenset({"setup", "undo", "sign", "subject", "erase", "export", "audience"})
"""Commands that change what is meant, take back, or give people's data away."""


class Access(Settings):
    """Accounts by role; `*` stands for everyone. An account that is not named may do nothing."""

    viewer: tuple[str, ...] = Field((), description="May look: explain, status, audit, ...")
    operator: tuple[str, ...] = Field(
        (), description="May also check, plan, sync, retry, override, answer."
    )
    admin: tuple[str, ...] = Field(
        (),
        description="May also set up, undo, sign models, report on people, erase, export.",
    )

    def role(self, account: str) -> Role | None:
        """The highest role of an account; None: it has none."""
        for role in (Role.ADMIN, Role.OPERATOR, Role.VIEWER):
            if {account, EVERYONE} & set(getattr(self, role)):
                return role
        return None


class DeniedError(Exception):
    """Somebody asked for what their role does not allow."""


def needed(command: str) -> Role:
    """The role that a command takes."""
    if command in ADMINISTERS:
        return Role.ADMIN
    return Role.OPERATOR if command in OPERATES else Role.VIEWER


def account() -> str:
    """The account that this process runs under, by the system's word and not the environment's."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
