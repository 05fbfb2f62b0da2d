"""Opening the ledger's database: how each one is connected to, and brought to this schema.

This is the only place that knows which database it is.
"""

import os
import sqlite3
from collections.abc import Iterable, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Engine,
    ExceptionContext,
    Select,
    Table,
    Text,
    create_engine,
    event,
    func,
    inspect,
    literal,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.sql import Executable
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from sync.errors import StoreError, StoreLost

BUSY_SECONDS = 30
"""How long a SQLite writer waits for another one to commit."""

FILE_TROUBLE: tuple[tuple[set[int], type[StoreError], str], ...] = (
    (
        {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL},
        StoreLost,
        "is locked by another program, such as a backup or a shell; end that, or run again later: "
        "nothing is lost",
    ),
    (
        {sqlite3.SQLITE_FULL},
        StoreLost,
        "cannot grow, as its disk is full; make room, then run again: nothing is lost",
    ),
    (
        {sqlite3.SQLITE_IOERR},
        StoreLost,
        "cannot be read or written, as its disk fails; look at the disk or mount, then run again: "
        "what was acknowledged is kept",
    ),
    (
        {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN},
        StoreError,
        "cannot be written; give this account the right to write to the file and to its folder, "
        "in which SQLite keeps a log",
    ),
    (
        {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT},
        StoreError,
        "is no SQLite database, or a damaged one; restore a backup",
    ),
)
"""What is wrong with a SQLite file, by its primary error codes."""

MIGRATING = 7_305_163
"""The advisory lock of PostgreSQL that keeps two instances from migrating at once."""


def open_ledger(url: str) -> Engine:
    """Connect, and run the migrations that the database lacks.

    Raises StoreError for an unusable address or database, or for one of a newer leadgauge;
    here and whenever the engine is used StoreLost, where a server cannot be reached or a file is
    locked, and StoreError where a file cannot be written.
    """
    try:
        parsed = make_url(url)
        is_sqlite = parsed.get_backend_name() == "sqlite"
        if is_sqlite and parsed.database:
            _make_private(Path(parsed.database))
        # A server that was restarted in between cost its connections: ask before using one.
        engine = create_engine(parsed, hide_parameters=True, pool_pre_ping=not is_sqlite)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError):
        raise StoreError(
            "ledger: this is no address of a supported database; use sqlite:///<file> or "
            "postgresql+psycopg://<user>@<host>/<database> (needs leadgauge[postgres])"
        ) from None
    if is_sqlite:
        _prepare_sqlite(engine)
    else:
        event.listen(engine, "handle_error", _lost)
    try:
        with engine.begin() as connection:
            _migrate(connection)
    except DatabaseError as error:
        engine.dispose()
        raise StoreError(f"ledger: the database cannot be used: {error.orig}") from error
    except StoreError:
        engine.dispose()
        raise
    return engine


def in_memory(engine: Engine) -> bool:
    """Whether a database is this process's alone, and of each of its threads another one."""
    return engine.dialect.name == "sqlite" and engine.url.database in (None, "", ":memory:")


def upsert(
    connection: Connection, table: Table, rows: Sequence[dict[str, Any]], keep: Sequence[str] = ()
) -> None:
    """Insert rows, or replace those of the same primary key, except their `keep` columns."""
    if not rows:
        return
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement: Any = insert(table)
    key = [column.name for column in table.primary_key]
    new = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if column.name not in (*key, *keep)
    }
    upserting: Executable = (
        statement.on_conflict_do_update(index_elements=key, set_=new)
        if new
        else statement.on_conflict_do_nothing(index_elements=key)
    )
    connection.execute(upserting, rows)


def listed(connection: Connection, texts: Iterable[str]) -> Select[tuple[str]]:
    """Any number of texts as a subquery for IN: one parameter, where a list has one for each."""
    is_sqlite = connection.dialect.name == "sqlite"
    elements = func.json_each if is_sqlite else func.json_array_elements_text
    return select(elements(literal(list(texts), JSON)).table_valued(Column("value", Text)).c.value)


def _make_private(path: Path) -> None:
    """Make the file its owner's alone before SQLite does; its log files take the same mode.

    One that exists is not touched: to close it would drop the locks that other connections of this
    process hold on it, and the next process to leave would take their log away from under them.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StoreError(f"ledger: {path} cannot be opened: {error.strerror}") from None


def _prepare_sqlite(engine: Engine) -> None:
    event.listen(engine, "handle_error", partial(_unusable, engine.url.database))
    # Of several that change the journal of a new file at once, SQLite lets none wait.
    waiting = Retrying(
        retry=retry_if_exception(_busy),
        stop=stop_after_delay(BUSY_SECONDS),
        wait=wait_random(0.01, 0.1),
        reraise=True,
    )

    @event.listens_for(engine, "connect")
    def _connect(dbapi_connection: Any, _record: object) -> None:
        # The driver's own BEGIN comes late and spares DDL: a migration would not be atomic.
        dbapi_connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {BUSY_SECONDS * 1000}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            waiting(dbapi_connection.execute, f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A reader that turns writer can find its snapshot outdated; a writer says so at once.
        reads = connection.get_execution_options().get("leadgauge_reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _busy(error: BaseException) -> bool:
    return (
        isinstance(error, sqlite3.OperationalError)
        and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    )


def _unusable(path: str | None, context: ExceptionContext) -> None:
    """Name what is wrong with a file for what to do about it."""
    error = context.original_exception
    # What the module itself refuses, a wrong parameter say, has no code of SQLite's.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    for codes, kind, what in FILE_TROUBLE:
        if code in codes:
            raise kind(f"ledger: {path} {what}") from error


def _lost(context: ExceptionContext) -> None:
    """Name the loss of a server for what to do about it. The message repeats no address."""
    error = context.sqlalchemy_exception
    if context.is_pre_ping:
        return
    if context.is_disconnect or (
        isinstance(error, OperationalError | InterfaceError) and context.connection is None
    ):
        raise StoreLost(
            "ledger: the database server cannot be reached; run again later, nothing is lost"
        ) from context.original_exception


def _migrate(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        connection.execute(select(func.pg_advisory_xact_lock(MIGRATING)))
    if _revision(connection) == _newest():
        return
    # Not before there is something to do: a short command would wait for it.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(resources.files("sync") / "migrations"))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    current = _revision(connection)
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise StoreError(
            f"ledger: written by a newer leadgauge (schema {current}); upgrade leadgauge, or "
            "point `ledger` at another database"
        )
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    """The revision that a database is at; None: it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _newest() -> str:
    """The newest revision of this release: `v<revision>_<what>.py` is how their files go."""
    files = (resources.files("sync") / "migrations" / "versions").iterdir()
    return max(file.name for file in files if file.name.startswith("v"))[1:5]
