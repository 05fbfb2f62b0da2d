"""Spool: a list on disk, for what grows with the records of a CRM and is read from its start.

The file has no name: nobody else can open it, and it is gone with the process, killed or not.
"""

import pickle
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Generic, TypeVar

T = TypeVar("T")

BLOCK = 1_000
"""Values that are in memory at a time; fewer never reach the disk."""


class Spool(Generic[T]):
    """Values in the order in which they were put, in a folder (None: that of the system)."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._blocks = 0
        self._latest: list[T] = []

    def append(self, value: T) -> None:
        """Put a value at the end."""
        self._latest.append(value)
        if len(self._latest) == BLOCK:
            self._store()

    def extend(self, values: Iterable[T]) -> None:
        """Put values at the end."""
        for value in values:
            self.append(value)

    def __len__(self) -> int:
        return self._blocks * BLOCK + len(self._latest)

    def __iter__(self) -> Iterator[T]:
        place = 0
        for _ in range(self._blocks):
            assert self._file is not None
            self._file.seek(place)
            block = pickle.load(self._file)
            place = self._file.tell()
            yield from block
        yield from self._latest

    def _store(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - ends with self
            weakref.finalize(self, self._file.close)
        self._file.seek(0, 2)
        pickle.dump(self._latest, self._file, pickle.HIGHEST_PROTOCOL)
        self._blocks += 1
        self._latest = []
