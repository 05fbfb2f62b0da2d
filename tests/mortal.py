"""Command lines in processes that can be killed.

A warm interpreter has everything imported and forks a child for each command, so that killing
a hundred of them takes seconds each, not a fresh start each. Nothing of leadgauge knows of it.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

KILLED = -signal.SIGKILL


@dataclass
class Mortal:
    """The warm interpreter, seen from outside; one child at a time."""

    process: subprocess.Popen[str]
    pid: int = 0
    """The child that runs now, for whoever wants to kill it."""

    def start(
        self, arguments: list[str], env: Mapping[str, str], at: datetime, *, die: int | None = None
    ) -> None:
        """Begin a command, in a world where it is always `at`.

        It kills itself just before its `die`-th commit to the ledger.
        """
        order = {"arguments": arguments, "env": dict(env), "at": at.isoformat(), "die": die}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        self.pid = self._read()["pid"]

    def end(self) -> int:
        """Wait for it, and return its exit code; KILLED if it was killed."""
        return int(self._read()["code"])

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))


@contextmanager
def mortal() -> Iterator[Mortal]:
    """A warm interpreter, ended with the `with` block."""
    command = [sys.executable, "-m", "tests.mortal"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Mortal(process)
        assert process.stdin is not None
        process.stdin.close()


def serve() -> None:
    """Fork a child for every order on stdin; say its pid, and how it ended."""
    import sync.cycle  # noqa: F401 - so that the children need not import it
    from connectors import registry

    registry.settings_types()
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _live(order)
        _say(pid=pid)
        _, status = os.waitpid(pid, 0)
        _say(code=os.waitstatus_to_exitcode(status))


def _live(order: Mapping[str, Any]) -> None:
    """Be the child."""
    from sync.cli import run
    from sync.session import Outside

    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    if order["die"] is not None:
        _die_before_commit(order["die"])
    at = datetime.fromisoformat(order["at"])
    code = run(order["arguments"], Outside(order["env"], lambda: at))
    os._exit(code)


def _die_before_commit(number: int) -> None:
    from sqlalchemy import Engine, event

    left = [number]

    def commit(_connection: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "commit", commit)


def _say(**what: int) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
