"""A spool is a list, whatever its length, and memory holds no more than a block or two of it."""

import weakref
from itertools import islice
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.spool import BLOCK, Spool


@given(st.lists(st.one_of(st.integers(0, 2 * BLOCK), st.just(-1)), max_size=6))
def test_a_spool_is_a_list(steps: list[int]) -> None:
    """Whatever is put in comes out in order, also while it is read and between two readings."""
    spool, expected = Spool[int](), list[int]()
    for step in steps:
        if step < 0:
            # A reading that is broken off must not be in the way of the next one.
            assert list(islice(spool, BLOCK + 1)) == expected[: BLOCK + 1]
        more = range(len(expected), len(expected) + max(step, 0))
        spool.extend(more)
        expected += more
    assert len(spool) == len(expected)
    assert list(zip(spool, spool, strict=True)) == list(zip(expected, expected, strict=True))


class Change:
    """Something of which one can see how many there are."""

    living: ClassVar[weakref.WeakSet["Change"]] = weakref.WeakSet()

    def __init__(self, number: int) -> None:
        self.number = number
        self.living.add(self)

    def __reduce__(self) -> tuple[type["Change"], tuple[int]]:
        return Change, (self.number,)


@pytest.mark.parametrize("blocks", [1, 4, 16])
def test_memory_is_flat(tmp_path: Path, blocks: int) -> None:
    """However many are put in and read, no more than two blocks are in memory at a time."""
    spool, most = Spool[Change](tmp_path), 0
    for number in range(blocks * BLOCK + 1):
        spool.append(Change(number))
        most = max(most, len(Change.living))
    for number, change in enumerate(spool):
        assert change.number == number
        most = max(most, len(Change.living))
    assert most <= 2 * BLOCK + 2


def test_nothing_is_left_on_disk(tmp_path: Path) -> None:
    """Its file has no name, so that a kill leaves nothing and nobody else reads it."""
    spool = Spool[int](tmp_path)
    spool.extend(range(3 * BLOCK))
    assert len(spool) == 3 * BLOCK
    assert list(tmp_path.iterdir()) == []
