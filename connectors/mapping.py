"""CRM records <-> the common model, column by column.

A connector reads raw columns (lists, or Arrow arrays of text) under common field names;
`table` turns them into the Arrow form of a facts table. `custom.<name>` columns become the
`custom` map and `present.<output>` columns the `present` map.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from connectors.base import RowProblem
from core.model import Row


@dataclass(frozen=True)
class Mapped:
    """Rows in the common model, and the values that could not be read (left null)."""

    rows: pa.Table
    rejected: tuple[RowProblem, ...] = ()


def table(model: type[Row], raw: Mapping[str, Sequence[Any] | pa.Array]) -> Mapped:
    """Convert raw columns of equal length; columns not given are null.

    A row without an id, or without another required column, is left out and reported.
    """
    raise NotImplementedError
