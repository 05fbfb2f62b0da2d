"""Commands in processes of their own, which can be killed: by themselves, or by their parent.

Nothing but an effect outside the process outlives it: an HTTP request, a commit to the ledger,
a commit to the facts. Killing it just before each effect in turn therefore reaches every state
that a kill can leave behind; "after the n-th" is the same state as "before the next".

A child is a fresh interpreter, `python -m tests.killed`, that takes its order from stdin.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Ended:
    """How a child ended, what it said on stderr, and what it did to the world, in order."""

    code: int
    said: str
    effects: tuple[str, ...]


class Child:
    """A child that runs a command, as seen from its parent. Leaves nothing running behind."""

    def __init__(
        self,
        arguments: list[str],
        env: Mapping[str, str],
        at: datetime | Path,
        die: int | None = None,
    ) -> None:
        """Begin a command in a world where it is always `at`, or what a file says that it is; it
        dies before its `die`-th effect.

        Returns once everything is imported, just before the command begins.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.killed"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
        order = {"arguments": arguments, "env": dict(env), "at": str(at), "die": die}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self._process.stdout.readline()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def kill(self) -> None:
        """Kill it now."""
        self._process.kill()

    def ask(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def heard(self, text: str) -> None:
        """Wait until it says something."""
        assert self.says(text), f"it ended without {text!r}"

    def says(self, *texts: str) -> bool:
        """Wait until it says one of these; whether it does before it ends."""
        assert self._process.stderr is not None
        return any(text in line for line in self._process.stderr for text in texts)

    def end(self, *, kill_after: float | None = None) -> Ended:
        """Wait for its end; with `kill_after`, kill it after so many seconds if it still runs."""
        try:
            out, err = self._process.communicate(timeout=kill_after)
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, err = self._process.communicate()
        return Ended(self._process.returncode, err, tuple(out.splitlines()))


class _Effects:
    """Counts the effects of this process as they are about to happen, and ends it in time."""

    def __init__(self, die: int | None, say: Callable[[str], None]) -> None:
        self._left = die
        self._say = say
        self._lock = threading.Lock()

    def about_to(self, effect: str) -> None:
        """Something is about to be done to the world."""
        with self._lock:
            if self._left is not None:
                self._left -= 1
                if self._left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            self._say(effect)

    def watch(self) -> None:
        """See every request of both vendors' libraries, and every commit to both stores."""
        from sqlalchemy import Connection, Engine, event
        from urllib3 import HTTPConnectionPool

        from sync.facts_file import FactsFile

        urlopen, run = HTTPConnectionPool.urlopen, FactsFile.run

        def asked(pool: HTTPConnectionPool, method: str, url: str, *args: Any, **more: Any) -> Any:
            self.about_to(f"{method} {url.partition('?')[0]}")
            return urlopen(pool, method, url, *args, **more)

        def ran(file: FactsFile, sql: str, **values: Any) -> None:
            if sql == "COMMIT":
                self.about_to("commit to the facts")
            run(file, sql, **values)

        def commits(connection: Connection) -> None:
            # No run goes by a count of calls, or a lease's renewal: they come at their own times.
            if not {"leadgauge_reads", "leadgauge_aside"} & {*connection.get_execution_options()}:
                self.about_to("commit to the ledger")

        HTTPConnectionPool.urlopen = asked  # type: ignore[assignment]
        FactsFile.run = ran  # type: ignore[method-assign, assignment]
        event.listen(Engine, "commit", commits)


def be_the_child() -> None:
    """Run the command that stdin asks for, saying each effect on stdout."""
    import sync.cycle  # noqa: F401 - imported before the parent starts to count seconds
    from connectors import registry
    from sync.cli import run
    from sync.session import Outside

    registry.settings_types()
    order = json.loads(sys.stdin.readline())
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def say(what: str) -> None:
        os.write(out, f"{what}\n".encode())

    _Effects(order["die"], say).watch()
    at = Path(order["at"])

    def clock() -> datetime:
        return datetime.fromisoformat(at.read_text() if at.exists() else str(at))

    say("ready")
    sys.exit(run(order["arguments"], Outside(order["env"], clock)))


if __name__ == "__main__":
    be_the_child()
