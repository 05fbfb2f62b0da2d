"""Exports in, an import file out."""

import csv
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import ValidationError

from connectors.base import Change, Cursor, Page, Status
from connectors.errors import MappingError, TemporaryError
from connectors.files.connector import FilesConnector
from connectors.files.settings import FilesMapping, FilesSettings
from connectors.settings import WrittenField
from core.decision import OPTIONAL, Output
from core.facts import BY_NAME, arrow_schema

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEADS = """\ufeffId,Email,Title,Changed,Score
00Q1,Ada@Buyer.example,"Director,
Sales",2026-03-01T10:00:00Z,50
00Q2,b@buyer.example,CEO,2026-03-01T11:00:00Z,
00Q3,c@buyer.example,NA,2026-03-01T11:00:00Z,98.50
"""
MAPPED: Mapping[str, str | None] = {
    "id": "Id",
    "email": "Email",
    "title": "Title",
    "modified_at": "Changed",
}


def settings(folder: Path, **changes: Any) -> FilesSettings:
    """A folder with leads, whose columns are mapped and whose score is written to Score."""
    given: dict[str, Any] = {
        "kind": "files",
        "folder": folder,
        "leads": "leads.csv",
        "mapping": FilesMapping(leads=dict(MAPPED)),
        "write": {Output.SCORE: WrittenField(field="Score")},
    }
    return FilesSettings.model_validate({**given, **changes})


def export(folder: Path, text: str = LEADS, *, name: str = "leads.csv") -> None:
    """Export anew: later than whatever is in the folder."""
    latest = max((file.stat().st_mtime_ns for file in folder.iterdir()), default=0)
    (folder / name).write_text(text, encoding="utf-8")
    stamp = max(latest + 1_000_000_000, int(NOON.timestamp()) * 10**9)
    os.utime(folder / name, ns=(stamp, stamp))


def connector(folder: Path, **changes: Any) -> FilesConnector:
    """A connector with pages of two rows and a clock that stands still."""
    return FilesConnector("files", settings(folder, **changes), clock=lambda: NOON, page_size=2)


def pull(files: FilesConnector, table: str = "leads", cursor: Cursor | None = None) -> list[Page]:
    """The pages of one table."""
    (stream,) = [stream for stream in files.streams() if stream.table == table]
    return list(files.pull(stream, cursor, NOON))


def rows(pages: Sequence[Page]) -> dict[str, dict[str, Any]]:
    """The rows of some pages by id."""
    found = [row for page in pages for row in page.rows.to_pylist(maps_as_pydicts="strict")]
    return {row["id"]: row for row in found}


def imported(folder: Path) -> list[dict[str, str]]:
    """The rows of the import file."""
    with (folder / "leadgauge-import.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def change(record_id: str, **values: str | None) -> Change:
    """Outputs of one lead."""
    return Change("leads", record_id, {Output(name): value for name, value in values.items()})


def test_csv(tmp_path: Path) -> None:
    """A CSV export is read with its byte-order mark, quoted newlines and literal NA."""
    export(tmp_path)
    pages = pull(connector(tmp_path))
    found = rows(pages)
    assert [page.rows.schema for page in pages] == [arrow_schema(BY_NAME["leads"].model)] * 2
    assert [page.rows.num_rows for page in pages] == [2, 1]
    assert found["00Q1"]["email"] == "ada@buyer.example"
    assert found["00Q1"]["title"] == "Director,\nSales"
    assert found["00Q2"]["seniority"] == "executive"
    assert found["00Q3"]["title"] == "NA"
    assert found["00Q2"]["modified_at"] == NOON - timedelta(hours=1)
    assert [found[key]["present"] for key in sorted(found)] == [
        {"score": "50"},
        {},
        {"score": "98.5"},
    ]


def test_parquet_and_csv_are_equal(tmp_path: Path) -> None:
    """A Parquet export with types of its own becomes the same rows as a CSV of it."""
    export(tmp_path)
    table = pa.table(
        {
            "Id": pa.array(["00Q1", "00Q2", "00Q3"], pa.large_string()),
            "Email": ["Ada@Buyer.example", "b@buyer.example", "c@buyer.example"],
            "Title": pa.array(["Director,\nSales", "CEO", "NA"]).dictionary_encode(),
            "Changed": [NOON - timedelta(hours=ago) for ago in (2, 1, 1)],
            "Score": [50.0, None, 98.5],
            "Unmapped": [1, 2, 3],
        }
    )
    pq.write_table(table, tmp_path / "leads.parquet")
    by_parquet = rows(pull(connector(tmp_path, leads="leads.parquet")))
    assert by_parquet == rows(pull(connector(tmp_path)))


def test_columns_with_common_names_need_no_mapping(tmp_path: Path) -> None:
    """A column that bears a common field's name is that field, unless it is left out."""
    export(tmp_path, "id,email,phone,colour\n1,a@buyer.example,12,red\n")
    mapping = FilesMapping(leads={"phone": None, "custom.shade": "colour"})
    (row,) = rows(pull(connector(tmp_path, mapping=mapping))).values()
    assert (row["email"], row["phone"]) == ("a@buyer.example", None)
    assert row["custom"] == {"shade": "red"}


def test_all_tables(tmp_path: Path) -> None:
    """Every table can be exported; what files need not say is filled in."""
    export(tmp_path)
    export(tmp_path, "id,name,domain\nA,Buyer,www.buyer.example\n", name="accounts.csv")
    export(tmp_path, "id,name\nU,Rep\n", name="owners.csv")
    export(tmp_path, "id,lead_id,result,amount\nD,00Q1,won,12.5\n", name="outcomes.csv")
    visits = "".join(
        f"{n},{person},{kind},2026-02-01\n"
        for n, person, kind in ((1, "00Q1", "Page View"), (2, "00Q1", "DL"), (2, "00Q2", "DL"))
    )
    export(tmp_path, f"id,lead_id,type,occurred_at\n{visits}", name="acts.csv")
    files = connector(
        tmp_path,
        accounts="accounts.csv",
        owners="owners.csv",
        outcomes="outcomes.csv",
        activities="acts.csv",
        mapping=FilesMapping(leads=dict(MAPPED), activity_types={"DL": "download"}),
    )
    assert [p for p in files.check() if p.severity == "error"] == []
    assert [s.table for s in files.streams() if s.incremental] == ["leads"]
    owner = rows(pull(files, "owners"))["U"]
    assert (owner["kind"], owner["active"], owner["object_type"]) == ("person", True, "owners")
    assert rows(pull(files, "accounts"))["A"]["domain"] == "buyer.example"
    assert rows(pull(files, "outcomes"))["D"]["result"] == "won"
    activities = [row for page in pull(files, "activities") for row in page.rows.to_pylist()]
    assert [(row["id"], row["lead_id"], row["type"]) for row in activities] == [
        ("1", "00Q1", "page_view"),
        ("2", "00Q1", "download"),
        ("2", "00Q2", "download"),
    ]


def test_people_of_one_activity_share_a_page(tmp_path: Path) -> None:
    """No page boundary parts the people of one activity."""
    export(tmp_path)
    visits = "".join(f"{n // 3},{n},call,2026-02-01\n" for n in range(9))
    export(tmp_path, f"id,lead_id,type,occurred_at\n{visits}", name="acts.csv")
    pages = pull(connector(tmp_path, activities="acts.csv"), "activities")
    assert [page.rows["id"].to_pylist() for page in pages] == [["0"] * 3, ["1"] * 3, ["2"] * 3]


def test_people_of_one_activity_come_together(tmp_path: Path) -> None:
    """When one person's row of an activity changes, the rows of all its people come again."""
    export(tmp_path)
    acts = "id,lead_id,type,occurred_at,modified_at\n1,A,call,2026-02-01,2026-02-02\n"
    acts += "1,B,call,2026-02-01,2026-02-01\n2,A,call,2026-02-01,2026-02-01\n"
    export(tmp_path, acts, name="acts.csv")
    files = connector(tmp_path, activities="acts.csv")
    (page,) = pull(files, "activities", Cursor(datetime(2026, 2, 2, tzinfo=UTC)))
    assert page.rows["lead_id"].to_pylist() == ["A", "B"]


def test_quoted_newlines_in_a_long_file(tmp_path: Path) -> None:
    """A cell with a newline is one cell wherever it stands in a file of several megabytes."""
    count, title = 30_000, "Director,\n" * 10
    lines = "".join(f'{n},,"{title}",2026-03-01\n' for n in range(count))
    export(tmp_path, f"Id,Email,Title,Changed\n{lines}")
    files = FilesConnector("files", settings(tmp_path), clock=lambda: NOON)
    titles = [title for page in pull(files) for title in page.rows["title"].to_pylist()]
    assert titles == [title.strip()] * count


def test_cursors(tmp_path: Path) -> None:
    """D18: equal stamps across a page boundary; the last cursor is the file's latest stamp."""
    export(tmp_path, "Id,Email,Title,Changed\n" + "".join(f"{n},,,2026-03-01\n" for n in range(5)))
    files = connector(tmp_path)
    pages = pull(files)
    assert pages[-1].cursor == Cursor(datetime(2026, 3, 1, tzinfo=UTC))
    assert [page.cursor.until for page in pages] == [NOON, NOON, None]
    stored: set[str] = set()
    for page in pages[:-1]:
        stored |= set(rows([page]))
        assert set(rows(pull(files, cursor=page.cursor))) == set("01234") - stored
    assert set(rows(pull(files, cursor=pages[-1].cursor))) == set("01234")


def test_only_changes_are_passed_on(tmp_path: Path) -> None:
    """D15: with stamps mapped, a second export brings the rows changed since the first."""
    export(tmp_path)
    cursor = pull(connector(tmp_path))[-1].cursor
    export(tmp_path, LEADS.replace("10:00:00Z", "11:30:00Z").replace("Ada@", "new@"))
    found = rows(pull(connector(tmp_path), cursor=Cursor(cursor.stamp, "zzz")))
    assert {key: row["email"] for key, row in found.items()} == {"00Q1": "new@buyer.example"}


def test_rows_of_the_future_wait(tmp_path: Path) -> None:
    """A row that is stamped after the run's start is left for the next run."""
    export(tmp_path, LEADS.replace("10:00:00Z", "13:00:00Z"))
    pages = pull(connector(tmp_path))
    assert set(rows(pages)) == {"00Q2", "00Q3"}
    assert pages[-1].cursor.stamp == NOON - timedelta(hours=1)


def test_without_stamps_everything_is_read(tmp_path: Path) -> None:
    """An export without a mapped stamp is no incremental stream, and as of its own date."""
    export(tmp_path)
    mapping = FilesMapping(leads={"id": "Id"})
    files = connector(tmp_path, mapping=mapping)
    assert [stream.incremental for stream in files.streams()] == [False]
    found = rows(pull(files))
    assert [row["modified_at"] for row in found.values()] == [NOON] * 3
    assert files.count(files.streams()[0], None) == 3


def test_unreadable_and_repeated_rows(tmp_path: Path) -> None:
    """Bad rows are reported once, by record; of repeated rows the last one counts."""
    export(
        tmp_path,
        "Id,Email,Title,Changed\n1,a,,soon\n2,b,,2026-03-01\n2,c,,2026-03-01\n,d,,2026-03-01\n",
    )
    pages = pull(connector(tmp_path))
    assert {key: row["email"] for key, row in rows(pages).items()} == {"2": "c"}
    problems = [(p.record_id, p.field) for page in pages for p in page.rejected]
    assert sorted(problems) == [("", "id"), ("1", "modified_at"), ("1", "modified_at"), ("2", "id")]


def test_empty_export(tmp_path: Path) -> None:
    """Of an export without rows, there is one empty page."""
    export(tmp_path, LEADS.splitlines()[0] + "\n")
    (page,) = pull(connector(tmp_path))
    assert page.rows.num_rows == 0
    assert page.cursor == Cursor()


def test_write(tmp_path: Path) -> None:
    """D36: the import file has one row for each record that was exported, and makes no other."""
    export(tmp_path)
    files = connector(tmp_path)
    results = list(
        files.write(
            [
                change("00Q1", score="-5", reason="=1+2", tier="A"),
                change("00Q9", score="1"),
                change("00Q2", tier=None),
            ]
        )
    )
    assert [(r.change.id, r.status) for r in results] == [
        ("00Q1", Status.WRITTEN),
        ("00Q9", Status.REFUSED),
        ("00Q2", Status.WRITTEN),
    ]
    assert imported(tmp_path) == [
        {"Id": "00Q1", "Score": "-5", "leadgauge_tier": "A", "leadgauge_reason": "'=1+2"},
        {"Id": "00Q2", "Score": "", "leadgauge_tier": "#N/A", "leadgauge_reason": ""},
    ]
    assert files.usage.calls["write"] == 1


def test_writing_again_adds_nothing(tmp_path: Path) -> None:
    """The same changes again leave the file as it is; further ones join their record's row."""
    export(tmp_path)
    changes = [change("00Q1", score="98.5"), change("00Q2", tier="B")]
    list(connector(tmp_path).write(changes))
    first = (tmp_path / "leadgauge-import.csv").read_bytes()
    list(connector(tmp_path).write(changes))
    assert (tmp_path / "leadgauge-import.csv").read_bytes() == first
    list(connector(tmp_path).write([change("00Q1", tier="A")]))
    assert imported(tmp_path) == [
        {"Id": "00Q1", "Score": "98.5", "leadgauge_tier": "A"},
        {"Id": "00Q2", "Score": "", "leadgauge_tier": "B"},
    ]


def test_what_waits_for_its_import_counts_as_done(tmp_path: Path) -> None:
    """Until the leads are exported anew, written values are read back and pulled."""
    export(tmp_path)
    cursor = pull(connector(tmp_path))[-1].cursor
    list(connector(tmp_path).write([change("00Q1", score="98.5", reason="-x", tier=None)]))
    files = connector(tmp_path)
    held = files.read_back("leads", ["00Q1", "00Q2", "00Q9"])
    assert set(held) == {"00Q1", "00Q2"}
    assert held["00Q1"][Output.SCORE] == "98.5"
    assert held["00Q1"][Output.REASON] == "-x"
    assert held["00Q2"] == dict.fromkeys(set(Output) - OPTIONAL)
    later = Cursor(cursor.stamp, "zzz")
    echo = rows(pull(files, cursor=later))
    assert {key: row["present"] for key, row in echo.items()} == {
        "00Q1": {"score": "98.5", "reason": "-x"}
    }
    export(tmp_path)
    assert connector(tmp_path).read_back("leads", ["00Q1"])["00Q1"][Output.SCORE] == "50"
    assert rows(pull(connector(tmp_path), cursor=later)) == {}
    list(connector(tmp_path).write([change("00Q3", tier="C")]))
    assert [row["Id"] for row in imported(tmp_path)] == ["00Q3"]


def test_what_waits_for_its_import_outlives_another_mapping(tmp_path: Path) -> None:
    """A column that nothing is written to any more waits on, beside the new one; a program that
    puts a byte order mark before the file changes nothing of it."""
    export(tmp_path)
    list(connector(tmp_path).write([change("00Q1", score="98.5")]))
    file = tmp_path / "leadgauge-import.csv"
    file.write_text("\ufeff" + file.read_text(encoding="utf-8"), encoding="utf-8")
    assert connector(tmp_path).read_back("leads", ["00Q1"])["00Q1"][Output.SCORE] == "98.5"
    other = connector(tmp_path, write={Output.SCORE: WrittenField(field="Points")})
    list(other.write([change("00Q2", score="7")]))
    assert imported(tmp_path) == [
        {"Id": "00Q1", "Points": "", "Score": "98.5"},
        {"Id": "00Q2", "Points": "7", "Score": ""},
    ]


def test_an_import_file_of_other_ids_is_not_waited_for(tmp_path: Path) -> None:
    """Rows that are told apart by another column say nothing of the records."""
    export(tmp_path)
    list(connector(tmp_path).write([change("00Q1", score="98.5")]))
    mapping = FilesMapping(leads={**MAPPED, "id": "Email"})
    files = connector(tmp_path, mapping=mapping)
    assert len(rows(pull(files))) == 3
    list(files.write([change("b@buyer.example", tier="A")]))
    assert imported(tmp_path) == [{"Email": "b@buyer.example", "leadgauge_tier": "A"}]


def test_cleared_as_the_importer_wants(tmp_path: Path) -> None:
    """What stands for an emptied field is a setting, and is read back as empty."""
    export(tmp_path)
    list(connector(tmp_path, cleared="NULL").write([change("00Q1", score=None)]))
    assert imported(tmp_path) == [{"Id": "00Q1", "Score": "NULL"}]
    assert connector(tmp_path, cleared="NULL").read_back("leads", ["00Q1"])["00Q1"] == (
        dict.fromkeys(set(Output) - OPTIONAL)
    )


def test_import_file_that_cannot_be_written(tmp_path: Path) -> None:
    """An import file in the way of a folder is trouble to try again, and no result is told."""
    export(tmp_path)
    (tmp_path / "leadgauge-import.part").mkdir()
    results = connector(tmp_path).write([change("00Q1", score="1")])
    with pytest.raises(TemporaryError, match="cannot write"):
        next(results)
    assert list(connector(tmp_path).write([])) == []


def test_check(tmp_path: Path) -> None:
    """A check names missing files and columns, and written fields that are not exported."""
    missing = connector(tmp_path).check()
    assert [(p.severity, p.where) for p in missing] == [("error", "files.leads")]
    assert "there is no file" in missing[0].what

    export(tmp_path)
    warned = connector(tmp_path).check()
    assert {p.severity for p in warned} == {"warning"}
    assert "files.leads.Score" not in {p.where for p in warned}
    assert "files.leads.leadgauge_tier" in {p.where for p in warned}

    lacking = connector(tmp_path).lacks()
    assert lacking.keys() == {"leads"}
    assert {"industry", "phone_number"} <= lacking["leads"]
    assert not {"title", "seniority"} & lacking["leads"]

    wrong = FilesMapping(leads={**MAPPED, "phone": "Fon", "custom.plan": "Plan"})
    files = connector(tmp_path, mapping=wrong)
    assert [p.what for p in files.check()] == [
        "leads.csv has no column Fon",
        "leads.csv has no column Plan",
    ]
    with pytest.raises(MappingError, match="no column Fon"):
        pull(files)
    export(tmp_path, "Id,Email,Email,Title,Changed,custom\n")
    assert [p.what for p in connector(tmp_path).check()] == ["leads.csv has several columns Email"]
    unmapped = connector(tmp_path, mapping=FilesMapping())
    assert "no column id, and none is mapped" in unmapped.check()[0].what


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("leads.csv", "Id,Email,Title,Changed\nMüller,x,y,2026-03-01\n".encode("cp1252"), "UTF-8"),
        ("leads.csv", b"Id,Email,Title,Changed\nsecret\n", "do not fit its header"),
        ("leads.csv", b"", "no column Id"),
        (
            "leads.csv",
            b'Id,Email,Changed,Title\n1,x,2026-03-01,"a\nb"\n2,x,2026-03-01,"a\n3,x,2026-03-01,b\n',
            "a quote in the row at line 4 is never closed",
        ),
        ("leads.parquet", b"secret", "damaged"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """A file that cannot be read is named with the reason, and none of its content."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MappingError, match=message) as raised:
        pull(connector(tmp_path, leads=name))
    assert "secret" not in str(raised.value)


def test_a_quote_within_a_text_is_text(tmp_path: Path) -> None:
    """A cell that no quote begins may hold one, as an inch has it; a file may hold any number."""
    export(tmp_path, 'Id,Email,Title,Changed\n1,x,5" pipe,2026-03-01\n2,y,"a\nb",2026-03-01\n')
    (page,) = pull(connector(tmp_path))
    assert page.rows["title"].to_pylist() == ['5" pipe', "a\nb"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"leads": "leads.xlsx"}, "must be a .csv or .parquet file"),
        ({"mapping": {"leads": {"emial": "Email"}}}, "did you mean email"),
        ({"mapping": {"outcomes": {"amuont": "Amount"}}}, "did you mean amount"),
        ({"mapping": {"unstamped": ["Score"]}}, "unstamped is not for files"),
        ({"folders": "x"}, "Extra inputs"),
    ],
)
def test_settings_refuse(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """A mistake in the settings is found when they are read."""
    with pytest.raises(ValidationError, match=message):
        settings(tmp_path, **changes)


def test_the_guide_shows_valid_settings() -> None:
    """The connection shown in docs/add-a-crm.md is one that is accepted."""
    guide = Path(__file__).parents[2] / "docs" / "add-a-crm.md"
    (shown,) = re.findall(r"```yaml\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    ((_, connection),) = yaml.safe_load(shown)["connections"].items()
    accepted = FilesSettings.model_validate(connection)
    assert accepted.column(Output.SCORE) == "Leadgauge_Score__c"
