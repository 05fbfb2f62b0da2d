"""A PostgreSQL server of the tests' own: started on demand, stopped with the test session.

It listens on a socket in its own folder and on no network address. PostgreSQL refuses to run as
root; then it runs as the system user `postgres`.
"""

import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import create_engine, make_url, text

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
"""Where distributions keep the server's programs; few put them on the path."""


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`; None where no server is installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    places = (folder for place in PLACES for folder in sorted(Path("/").glob(place[1:])))
    return next((folder for folder in reversed(list(places)) if (folder / "initdb").exists()), None)


def missing() -> str | None:
    """Why there can be no server here; None: there can."""
    if programs() is None:
        return "no PostgreSQL server is installed (initdb was not found)"
    if os.geteuid() == 0 and not _has_user("postgres"):
        return "PostgreSQL does not run as root, and there is no user called postgres"
    return None


@contextmanager
def server() -> Iterator[str]:
    """The address of a running server, without a database's name."""
    folder = programs()
    assert folder is not None, missing()
    with TemporaryDirectory(prefix="leadgauge-pg-") as temporary:
        home = Path(temporary)
        if os.geteuid() == 0:
            shutil.chown(home, "postgres", "postgres")
        data = home / "data"
        _run(
            folder / "initdb",
            "-D",
            data,
            "-U",
            "leadgauge",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
        )
        options = f"-c listen_addresses='' -c unix_socket_directories='{home}' -c fsync=off"
        control = (folder / "pg_ctl", "-D", data, "-w", "-l", home / "log")
        _run(*control, "-o", options, "start")
        try:
            yield f"postgresql+psycopg://leadgauge@/{{database}}?host={home}"
        finally:
            _run(*control, "-m", "immediate", "stop")


def database(server: str) -> str:
    """The address of a new, empty database on a server."""
    name = f"t{secrets.token_hex(8)}"
    engine = create_engine(server.format(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.format(database=name)


@dataclass(frozen=True)
class Ledgers:
    """Where the ledgers of tests are: on a server, or, without one, in files."""

    server: str = ""

    def fresh(self) -> dict[str, str]:
        """What a configuration says of a ledger of its own."""
        return {"ledger": database(self.server)} if self.server else {}


def hang_up(url: str) -> None:
    """End every connection to a database, as a restart of its server does."""
    parsed = make_url(url)
    engine = create_engine(parsed.set(database="postgres"))
    with engine.begin() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": parsed.database},
        )
    engine.dispose()


def _run(*command: object) -> None:
    user = "postgres" if os.geteuid() == 0 else None
    subprocess.run(
        [str(word) for word in command],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user,
        cwd="/",
    )


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
