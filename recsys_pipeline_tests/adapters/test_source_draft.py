"""`recsys init-source`: ordinary files give a TOML that the doctor passes; what cannot be told stays open, loudly."""

import gzip
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_pipeline.adapters.sources.drafts.source_draft import draft_source
from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.cli import main
from recsys_pipeline.commands.doctor import check_source
from recsys_pipeline.core.errors import SettingError, SourceError
from recsys_pipeline.core.time import Window
from recsys_pipeline.settings import Settings

START = datetime(2024, 3, 1, tzinfo=UTC)
N_ROWS, N_ITEMS = 300, 40
EVENTS = ["view", "view", "addtocart", "purchase"]
Row = tuple[str, str, str, datetime]
"""User, item, event, time."""


def rows() -> list[Row]:
    rng = random.Random(0)
    times = [START + timedelta(minutes=11 * at) for at in range(N_ROWS)]
    return [(f"{rng.randrange(25)}", f"{100 + rng.randrange(N_ITEMS)}", rng.choice(EVENTS), time) for time in times]


def write(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    content = ("\n".join(lines) + "\n").encode(encoding)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def movielens(folder: Path) -> list[Path]:
    lines = [
        f"{user}::{item}::{1 + at % 5}::{int(time.timestamp())}" for at, (user, item, _, time) in enumerate(rows())
    ]
    items = [f"{100 + at}::Amélie {at} (2001)::Drama|Comedy" for at in range(N_ITEMS)]
    return [write(folder / "ratings.dat", lines), write(folder / "movies.dat", items, "latin-1")]


def shop_csv(folder: Path) -> list[Path]:
    lines = ["visitorid,event,sku,at", *(f"{u},{event},{i},{time:%F %T}" for u, i, event, time in rows())]
    lines[0] = "visitorid,event,sku,timestamp"
    items = ["sku;name;department;price", *(f"{100 + at};Lamp {at};light, home;{at}.5" for at in range(N_ITEMS))]
    return [write(folder / "events.csv.gz", lines), write(folder / "products.csv", items)]


def tab_separated(folder: Path) -> list[Path]:
    return [write(folder / "u.tsv", [f"{u}\t{i}\t{int(time.timestamp() * 1000)}" for u, i, _, time in rows()])]


def json_lines(folder: Path) -> list[Path]:
    found = [{"user": {"id": u}, "item": {"id": i}, "rating": 4, "date": f"{time:%F}"} for u, i, _, time in rows()]
    return [write(folder / "reviews.jsonl", [json.dumps(one) for one in found])]


def parquet(folder: Path) -> list[Path]:
    columns = list(zip(*rows(), strict=True))
    table = pa.table({"user_id": columns[0], "item_id": columns[1], "type": columns[2], "timestamp": columns[3]})
    pq.write_table(table, folder / "log.parquet")
    return [folder / "log.parquet"]


def two_logs(folder: Path) -> list[Path]:
    views = ["user,item,viewed,time", *(f"{u},{i},yes,{time:%F %T}" for u, i, event, time in rows() if event == "view")]
    orders = ["customer_id|product_id|ts"]
    orders += [f"{u}|{i}|{int(time.timestamp())}" for u, i, event, time in rows() if event == "purchase"]
    return [write(folder / "views.csv", views), write(folder / "orders.txt", orders)]


@pytest.mark.parametrize("make", [movielens, shop_csv, tab_separated, json_lines, parquet, two_logs])
def test_ordinary_data_gives_a_toml_that_the_doctor_passes(make: Callable[[Path], list[Path]], tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    toml = tmp_path / "shop.toml"
    files = make(data)
    assert main(["init-source", *map(str, files), "--to", str(toml)]) == 0
    findings = list(check_source(Settings.model_validate({"source": "files", "source_config": toml})))
    assert {found.state for found in findings} == {"ok"}, findings
    source = FilesSource.from_toml(toml)
    days = source.days()
    assert days.last is not None
    found = source.interactions(Window.of_days(days.first, days.last)).read_all()
    expected = [
        (user, item) for user, item, event, _ in rows() if make is not two_logs or event in ("view", "purchase")
    ]
    assert sorted(zip(found["user_id"].to_pylist(), found["item_id"].to_pylist(), strict=True)) == sorted(expected)
    assert found["defect"].null_count == len(found)
    if len(files) == 2 and make is not two_logs:
        items = source.items(datetime.now(UTC))
        assert items.num_rows == N_ITEMS
        assert len(items["categories"][0].as_py()) == 2
        assert "Amélie 0 (2001)" in items["title"].to_pylist() or "Lamp 0" in items["title"].to_pylist()


def test_logs_with_columns_of_their_own_keep_their_events_and_worths(tmp_path: Path) -> None:
    text = draft_source(two_logs(tmp_path)).text
    assert text.count("[[interactions]]") == 2
    (tmp_path / "shop.toml").write_text(text)
    source = FilesSource.from_toml(tmp_path / "shop.toml")
    days = source.days()
    found = source.interactions(Window.of_days(days.first, START.date() + timedelta(days=9))).read_all().to_pylist()
    told = {(row["event"], row["value"], row["source_file"]) for row in found}
    assert told == {("view", 1.0, "views.csv"), ("purchase", 5.0, "orders.txt")}


def test_what_was_seen_stands_beside_what_was_guessed(tmp_path: Path) -> None:
    text = draft_source(shop_csv(tmp_path)).text
    counts = {event: sum(row[2] == event for row in rows()) for event in ("view", "addtocart", "purchase")}
    assert f"view {counts['view']}" in text
    assert "by the names of the columns" in text
    assert "visitorid | event | sku | timestamp" in text
    assert f'root = "{tmp_path}"' in text


def test_a_day_that_may_be_a_month_is_left_open(tmp_path: Path) -> None:
    lines = [
        "user,item,time",
        *(f"{user},{item},0{1 + at % 9}/0{1 + at % 8}/2024" for at, (user, item, *_) in enumerate(rows())),
    ]
    draft = draft_source([write(tmp_path / "log.csv", lines)])
    assert len(draft.open_questions) == 1
    assert '# time_format = "%d/%m/%Y"' in draft.text
    assert '# time_format = "%m/%d/%Y"' in draft.text
    (tmp_path / "shop.toml").write_text(draft.text)
    with pytest.raises(SettingError, match="set time_unit"):
        FilesSource.from_toml(tmp_path / "shop.toml")


def test_data_without_times_is_sent_to_evaluate(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.csv", ["user,item", *(f"{user},{item}" for user, item, *_ in rows())])
    with pytest.raises(SourceError, match=r"tells no times.*recsys evaluate --data .*pairs.csv --protocol strong"):
        draft_source([path])


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toml = tmp_path / "shop.toml"
    toml.write_text("mine")
    assert main(["init-source", *map(str, tab_separated(tmp_path)), "--to", str(toml)]) == 1
    assert "is there already" in " ".join(capsys.readouterr().out.split())
    assert toml.read_text() == "mine"


def test_items_alone_are_no_source(tmp_path: Path) -> None:
    _, items = movielens(tmp_path)
    with pytest.raises(SettingError, match=r"movies.dat looks like items: name a file of interactions"):
        draft_source([items])
