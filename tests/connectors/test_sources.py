"""A field mapped to several sources: the first readable value counts, in every connector."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.mapping import field_map, table
from connectors.sandbox.memory import MemoryConnector
from connectors.settings import FieldMapping
from core.model import Account, Lead
from core.provenance import sourced
from tests.files import files_world
from tests.hubspot import hubspot_world
from tests.memory import memory_world
from tests.salesforce import salesforce_world
from tests.world import World, mirrored


def several(*fields: str) -> list[dict[str, str]]:
    """Sources with one origin after the other."""
    origins = ("given", "observed", "appended")
    return [{"field": f, "origin": o} for f, o in zip(fields, origins, strict=False)]


@pytest.mark.parametrize(
    ("field", "cells", "value", "origin", "said"),
    [
        ("employees", ("250", "40"), 250, "given", "250 (given, F0), not 40 (observed, F1)"),
        ("employees", (None, "40"), 40, "observed", "40 (observed, F1)"),
        ("employees", ("  ", "40.0"), 40, "observed", "40 (observed, F1)"),
        ("employees", ("many", "40"), 40, "observed", "40 (observed, F1)"),
        ("employees", ("40.0", "40"), 40, "given", "40 (given, F0)"),
        ("employees", ("0", "40"), 0, "given", "0 (given, F0), not 40 (observed, F1)"),
        ("employees", (None, None), None, None, None),
        ("employees", (None, "x", "7"), 7, "appended", "7 (appended, F2)"),
        ("employees", ("1", "2", "3"), 1, "given",
         "1 (given, F0), not 2 (observed, F1), 3 (appended, F2)"),
        ("country", ("Atlantis", "Germany"), "DE", "observed", "DE (observed, F1)"),
        ("email", ("", "A@B.example"), "a@b.example", "observed", "a@b.example (observed, F1)"),
        ("technologies", ("a; b", "c"), ["a", "b"], "given",
         "a;b (given, F0), not c (observed, F1)"),
        ("title", ("„Chef\u2028“\\n", "x"), "„Chef\u2028“\\n", "given",
         "„Chef\u2028“\\n (given, F0), not x (observed, F1)"),
        ("custom.budget", ("5.0", "7"), "5", "given", "5 (given, F0), not 7 (observed, F1)"),
    ],
)  # fmt: skip
def test_the_first_readable_value_counts(
    field: str, cells: tuple[str | None, ...], value: Any, origin: str | None, said: str | None
) -> None:
    """S190: whatever came first is kept and named; what it overruled stays beside it."""
    fields = [f"F{n}" for n in range(len(cells))]
    mapping = FieldMapping.model_validate({"leads": {field: several(*fields)}})
    columns = field_map(Lead, {"id": "Id"}, mapping.leads)
    crm = {"Id": ["1"], **{name: [cell] for name, cell in zip(fields, cells, strict=True)}}
    raw: dict[str, Any] = {column: crm[name] for column, name in columns.items()}
    found = table(Lead, {**raw, "object_type": ["Lead"], "modified_at": ["2026-01-01"]})
    (row,) = found.rows.to_pylist()
    custom, _dot, name = field.partition(".")
    assert (dict(row[custom]).get(name) if name else row[field]) == value
    assert dict(row["origins"]).get(field) == origin
    assert [str(one) for one in sourced(row["sources"])] == ([f"{field}: {said}"] if said else [])
    unreadable = sum(cell in ("many", "x", "Atlantis") for cell in cells)
    assert len(found.rejected) == (unreadable if field in ("employees", "country") else 0)


def test_what_follows_goes_by_the_value_that_counts() -> None:
    """Region and state are read from the country that counts, not from one that is overruled."""
    mapping = FieldMapping.model_validate({"accounts": {"country": several("F0", "F1")}})
    columns = field_map(Account, {"id": "Id", "state": "S"}, mapping.accounts)
    crm = {"Id": ["1", "2"], "S": ["California", "Bavaria"], "F0": ["USA", None],
           "F1": ["DE", "DE"]}  # fmt: skip
    raw: dict[str, Any] = {column: crm[name] for column, name in columns.items()}
    rest = {"object_type": ["A"] * 2, "modified_at": ["2026-01-01"] * 2}
    rows = table(Account, {**raw, **rest}).rows.to_pylist()
    assert [(r["country"], r["region"], r["state"]) for r in rows] == [
        ("US", "north_america", "CA"), ("DE", "europe", "Bavaria"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"owner_id": several("A", "B")}, "owner_id is mapped to one field"),
        ({"id": several("A")}, "id is mapped to one field"),
        ({"employees": several("A", "A")}, "employees: a field is listed twice"),
        ({"employees": []}, "employees: name at least one field"),
        ({"employees": [{"field": "A"}]}, "Field required"),
        ({"employees": [{"field": "A", "origin": "heard"}]}, "'given', 'observed' or 'appended'"),
    ],
)
def test_sources_that_cannot_be_meant_are_refused(mapping: Any, message: str) -> None:
    """References and stamps have one source, and each source is named once, with its origin."""
    with pytest.raises(ValidationError, match=message):
        FieldMapping.model_validate({"leads": mapping})


WORLDS: dict[str, tuple[Callable[[Path], AbstractContextManager[World]], tuple[str, str]]] = {
    "salesforce": (lambda _path: salesforce_world(), ("Phone", "Title")),
    "hubspot": (lambda _path: hubspot_world(), ("phone", "jobtitle")),
    "files": (lambda path: nullcontext(files_world(path)), ("phone", "title")),
    "memory": (lambda _path: nullcontext(memory_world(MemoryConnector)), ("phone", "title")),
}


@pytest.fixture(params=WORLDS)
def mapped(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[World, FieldMapping]]:
    """A CRM, and a mapping of the company's name to two of its fields."""
    opened, fields = WORLDS[request.param]
    with opened(tmp_path) as world:
        yield world, FieldMapping.model_validate({"leads": {"company": several(*fields)}})


def test_every_connector_reads_all_sources(mapped: tuple[World, FieldMapping]) -> None:
    """S119 S190: over each CRM's own wire: the first source, else the second; the connector's own
    default gives way to the list."""
    world, mapping = mapped
    both = world.lead(phone="First AG", title="Second AG")
    second = world.lead(title="Second AG")
    neither = world.lead()
    world.clock.tick()
    world.connector = world.connect(mapping=mapping)
    assert [p for p in world.connector.check() if "company" in p.where] == []
    rows = mirrored(world).leads()
    found = {
        name: (rows[world.id(record)]["company"], dict(rows[world.id(record)]["origins"]))
        for name, record in {"both": both, "second": second, "neither": neither}.items()
    }
    assert found == {
        "both": ("First AG", {"company": "given"}),
        "second": ("Second AG", {"company": "observed"}),
        "neither": (None, {}),
    }
    (one,) = sourced(rows[world.id(both)]["sources"])
    assert [answer.value for answer in (one.counts, *one.overruled)] == ["First AG", "Second AG"]
