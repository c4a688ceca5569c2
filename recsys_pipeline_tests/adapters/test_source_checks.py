"""What a source says of its tables before a run needs them: of files and of a database alike."""

from pathlib import Path

import pytest

from recsys_pipeline.adapters.sources.download import DownloadSource
from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.adapters.sources.sql import SqlSource
from recsys_pipeline.core.dataset.sources import ChecksTables
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline_tests.adapters.file_fixtures import rating_line, source_over, write_lines
from recsys_pipeline_tests.adapters.sql_fixtures import Shop, at

ITEMS = {"kind": "table", "path": "items.csv", "header": True, "columns": {"item_id": "id", "title": "name"}}


def files(root: Path) -> FilesSource:
    """Three day files and a catalogue, all whole."""
    for number in range(3):
        lines = [rating_line(user, 86_400 * number) for user in range(20_000)]
        write_lines(root / f"2026-03-0{number + 1}.dat.gz", lines)
    write_lines(root / "items.csv", ["id,name", "i1,Lamp"])
    return source_over(root, items=ITEMS, path="*.dat.gz", layout="days")


def test_who_can_be_asked() -> None:
    assert all(issubclass(kind, ChecksTables) for kind in (FilesSource, SqlSource, DownloadSource))


def test_whole_files_pass(tmp_path: Path) -> None:
    files(tmp_path).check()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("items.csv", None, r"no file items\.csv below .* items\.path of source test"),
        ("items.csv", "id,title\n1,Lamp\n", r"items\.csv has no column 'name' \(items\.columns\.title\)"),
        ("2026-03-03.dat.gz", "half", r"2026-03-03\.dat\.gz cannot be read to its end"),
        ("2026-03-04.dat.gz", "not zipped", r"2026-03-04\.dat\.gz cannot be read"),
    ],
)
def test_a_fault_of_a_file_is_named(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    found, path = files(tmp_path), tmp_path / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content == "half" else content.encode())
    with pytest.raises(SourceError, match=message):
        found.check()


def test_the_newest_day_file_needs_readable_times(tmp_path: Path) -> None:
    files(tmp_path)
    with pytest.raises(SourceError, match=r"no row of .*2026-03-03.* has a readable time .*row 1: timestamp"):
        source_over(tmp_path, path="*.dat.gz", layout="days", time_unit="iso").check()


@pytest.mark.parametrize("layout", ["file", "days"])
def test_times_that_cannot_be_read_are_told_before_a_run(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "2026-03-01.csv"
    good = [f"u{at},i,1,2026-03-01" for at in range(198)]
    options = {"path": "*.csv", "layout": layout, "time_unit": "iso"}
    write_lines(path, [*good, "u,i,1,01-12-10 08:26"])
    source_over(tmp_path, **options).check()
    write_lines(path, ["u,i,1,01-12-10 08:26", *good, "u,i,1,", "u,i,1,2000000000"])
    with pytest.raises(SourceError, match=r"3 of 201 rows of .* have no readable time, the first is row 1: .*ISO"):
        source_over(tmp_path, **options).check()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"table": "goods"}, r"no table goods \(\[items\] table\)"),
        ({"table": "products", "columns": {"item_id": "id", "title": "label"}}, r"no column 'label'"),
        ({"table": "products", "columns": {"item_id": "id", "created_at": "name"}}, "column name of table products"),
    ],
)
def test_a_fault_of_a_table_is_named(shop: Shop, section: dict, message: str) -> None:
    shop.add((1, "lamp", 4.5, at(0)))
    shop.run("create table products (id integer, name text)", "insert into products values (1, 'Lamp')")
    shop.source(items={"table": "products", "columns": {"item_id": "id", "title": "name"}}).check()
    with pytest.raises(SourceError, match=message):
        shop.source(items={"columns": {"item_id": "id"}, **section}).check()
