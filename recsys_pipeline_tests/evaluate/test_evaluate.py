"""`recsys evaluate` from the command line to the table and the JSON."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_pipeline.cli import main
from recsys_pipeline.core.folds.leave_last_out import leave_last_out
from recsys_pipeline.core.models import ease
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline_tests.model_battery import planted_blocks


def write(path: Path, ratings: Ratings) -> Path:
    rows = zip(ratings.user, ratings.item, ratings.value, strict=True)
    path.write_text("".join(f"{user}\t{item}\t{value:g}\n" for user, item, value in rows))
    return path


@pytest.fixture
def split(tmp_path: Path) -> tuple[Ratings, Ratings, list[str]]:
    """Planted blocks, the last row of each user tested; and the options that name the files."""
    everything = planted_blocks()[0]
    rows = leave_last_out(everything)
    train, test = everything.take(rows.train), everything.take(rows.test)
    paths = [str(write(tmp_path / f"{name}.tsv", part)) for name, part in (("train", train), ("test", test))]
    return train, test, ["evaluate", "--train", paths[0], "--test", paths[1]]


def evaluated(options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    assert main([*options, "--json", str(tmp_path / "out.json")]) == 0
    return json.loads((tmp_path / "out.json").read_text()), capsys.readouterr().out


def figure(document: dict[str, Any], model: str, metric: str, k: int) -> dict[str, Any]:
    figures = next(row["figures"] for row in document["models"] if row["model"] == model)
    return next(row for row in figures if (row["metric"], row["k"]) == (metric, k))


def test_files_of_train_add_up_and_tables_show_what_is_asked_for(
    split: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, _, options = split
    whole, _ = evaluated([*options, "--models", "ease", "--k", "3"], tmp_path, capsys)
    halves = [write(tmp_path / f"{at}.tsv", train.take(np.arange(len(train)) % 2 == at)) for at in range(2)]
    parts = ["--train", str(halves[1]), "--train", str(halves[0]), "--test", options[4]]
    asked = ["evaluate", *parts, "--models", "ease", "--k", "3", "--metrics", "coverage,recall"]
    found, shown = evaluated(asked, tmp_path, capsys)
    assert found["models"][0]["figures"] == whole["models"][0]["figures"]
    assert set(found["files"]) == {"train_1", "train_2", "test"}
    assert [name in shown for name in ("coverage@3", "recall@3", "hit rate@3")] == [True, True, False]
    assert main([*options, "--train", options[2], "--models", "ease"]) == 1
    assert "say each --train once" in " ".join(capsys.readouterr().out.split())


def test_a_given_split(split: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, test, options = split
    found, shown = evaluated([*options, "--models", "popularity,ease", "--k", "3,5"], tmp_path, capsys)
    expected = evaluate_ranking(ease.fit(train, ease.EaseConfig(), 0), train, test, (3, 5))
    recall = figure(found, "ease", "recall", 5)
    assert recall["value"] == pytest.approx(expected.mean("recall", 5))
    assert recall["low"] < recall["value"] < recall["high"]
    assert recall["n"] == expected.n_users
    assert [row["model"] for row in found["models"]] == ["ease", "popularity"], "best first"
    assert f"{recall['value']:.4f}".removeprefix("0") in shown
    assert not found["sampled"]
    assert "Full ranking" in shown
    assert f"{expected.n_users} users, first 5 places" in shown
    assert "Best by NDCG@3: ease; the others are clearly behind" in shown
    assert found["files"]["train"]["pairs"] == len(train)
    assert len(found["files"]["test"]["sha256"]) == 64
    assert {"python", "numpy", "recsys_pipeline", "code"} <= set(found["versions"])
    assert found["models"][0]["config"]["reg"] == 500.0
    assert {row["baseline"] for row in found["differences"]} == {"popularity"}


def test_given_negatives_are_marked_as_sampled(split: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, test, options = split
    seen = set(zip(train.user.tolist(), train.item.tolist(), strict=True))
    lines = []
    for user, item in zip(test.user.tolist(), test.item.tolist(), strict=True):
        others = [other for other in range(train.n_items) if other != item and (user, other) not in seen]
        lines.append("\t".join([f"({user},{item})", *map(str, others[:4])]))
    negatives = tmp_path / "test.negative"
    negatives.write_text("\n".join(lines) + "\n")
    found, shown = evaluated(
        [*options, "--negatives", str(negatives), "--models", "popularity", "--k", "5"], tmp_path, capsys
    )
    assert found["sampled"]
    assert "Krichene and Rendle" in found["what_competes"]
    assert "SAMPLED" in shown
    assert "Sampled: each user's test items" in shown
    assert figure(found, "popularity", "hit_rate", 5)["value"] == 1.0, "five candidates fill five places"


def test_new_users_are_folded_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "data.tsv", planted_blocks()[0])
    options = ["evaluate", "--data", str(data), "--protocol", "strong_generalisation", "--test-share", "0.3"]
    found, shown = evaluated([*options, "--models", "cooccurrence,popularity", "--k", "3"], tmp_path, capsys)
    n_held_out = round(0.3 * planted_blocks()[0].n_users)
    assert figure(found, "cooccurrence", "recall", 3)["n"] == n_held_out
    assert figure(found, "cooccurrence", "recall", 3)["value"] > 2 * figure(found, "popularity", "recall", 3)["value"]
    assert "30% of the users are held out whole" in " ".join(shown.split())
    assert found["data"]["known_rows"] < found["data"]["train_rows"]


def test_what_is_undefined_is_null_and_said(split: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, shown = evaluated([*split[2], "--models", "random", "--relevant-min-value", "6"], tmp_path, capsys)
    assert figure(found, "random", "ndcg", 10)["value"] is None
    assert "undefined" in shown
    assert any("no user has a relevant test item" in note for note in found["notes"])


def test_what_train_holds_is_not_tested_in_silence(
    split: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, _, options = split
    with (tmp_path / "test.tsv").open("a") as rows:
        rows.writelines(f"{train.user[row]}\t{train.item[row]}\t5\n" for row in range(3))
    found, shown = evaluated([*options, "--models", "random"], tmp_path, capsys)
    assert "3 test pairs left out: train holds them" in shown
    assert any(note.startswith("3 test pairs left out") for note in found["notes"])


def strangers_split(folder: Path, reverse: bool) -> list[str]:
    """Users of whom train knows nothing, 30 items; with the item names the other way round if asked for."""
    rng = np.random.default_rng(0)
    train = [(user, item) for user in range(40) for item in rng.choice(30, 5, replace=False).tolist()]
    test = [(100 + user, item) for user in range(25) for item in rng.choice(30, 3, replace=False).tolist()]
    options = ["evaluate"]
    for name, rows in (("train", train), ("test", test)):
        path = folder / f"{name}-{reverse}.tsv"
        path.write_text("".join(f"{user}\t{29 - item if reverse else item}\t1\n" for user, item in rows))
        options += [f"--{name}", str(path)]
    return options


def test_a_model_that_knows_nothing_of_its_users_is_at_chance_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was shown as the best, by the numbers of the items."""
    found, shown = {}, {}
    for reverse in (False, True):
        options = [*strangers_split(tmp_path, reverse), "--models", "cooccurrence,ease", "--k", "10"]
        found[reverse], printed = evaluated(options, tmp_path, capsys)
        shown[reverse] = " ".join(printed.split())
        assert figure(found[reverse], "ease", "recall", 10)["value"] == pytest.approx(10 / 30, abs=1e-12)
        hit_rate = figure(found[reverse], "cooccurrence", "hit_rate", 10)["value"]
        assert hit_rate == pytest.approx(1 - math.comb(27, 10) / math.comb(30, 10), abs=1e-12)
        assert figure(found[reverse], "ease", "tied_places", 10)["value"] == 1.0
        assert found[reverse]["models"][0]["silent_users"] == 25
        assert "25 of 25 test users are not in train" in shown[reverse]
        assert "cooccurrence says nothing of 25 of 25 users (all scores equal)" in shown[reverse]
        assert "100% of cooccurrence's, 100% of ease's first 10 places" in shown[reverse]
        assert "No model is best by NDCG@10: cooccurrence and ease" in shown[reverse]
    for one, other in zip(found[False]["models"], found[True]["models"], strict=True):
        for row, again in zip(one["figures"], other["figures"], strict=True):
            assert row["value"] == pytest.approx(again["value"], abs=1e-12), row


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--protocol", "prequential"], "DataError: prequential tests what came last, and the data has no times"),
        (["--protocol", "random"], "SettingError: protocol 'random' is unknown"),
        (["--protocol", "prequential", "--format", "graph"], "SettingError: format 'graph' is unknown"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], reason: str
) -> None:
    data = write(tmp_path / "data.tsv", planted_blocks()[0])
    assert main(["evaluate", "--data", str(data), *options, "--models", "random"]) == 1
    assert reason in " ".join(capsys.readouterr().out.split())


def clicks(n: int = 240) -> list[tuple[int, str, int]]:
    """Sessions that click planted items, one click a minute."""
    return [
        (
            at // 6,
            f"2014-04-{1 + at // 60:02}T{at // 10 % 24:02}:{at % 60:02}:58.618Z",
            214_530_000 + at // 6 % 4 * 9 + at % 6,
        )
        for at in range(n)
    ]


def test_a_file_without_names_gives_the_figures_of_the_same_file_with_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare, named = tmp_path / "clicks.dat", tmp_path / "clicks.csv"
    bare.write_text("".join(f"{session},{time},{item},0\n" for session, time, item in clicks()))
    named.write_text("item,user,time\n" + "".join(f"{item},{session},{time}\n" for session, time, item in clicks()))
    options = ["--protocol", "leave_last_out", "--models", "popularity,cooccurrence", "--k", "5"]
    found, shown = evaluated(["evaluate", "--data", str(bare), *options], tmp_path, capsys)
    expected, _ = evaluated(["evaluate", "--data", str(named), *options], tmp_path, capsys)
    assert (found["data"]["users"], found["data"]["items"]) == (40, 24)
    assert [row["figures"] for row in found["models"]] == [row["figures"] for row in expected["models"]]
    assert figure(found, "cooccurrence", "ndcg", 5)["value"] > 0
    assert "timestamp = column 2: 240 of 240 are ISO 8601 times" in shown
    assert "user 0, item 214530000, timestamp 2014-04-01 00:00:58.618 UTC" in shown, "the first rows as read"
    assert found["files"]["data"]["read_as"].startswith("comma-separated, no header; user = 1, timestamp = 2, item = 3")


def test_no_hit_at_all_is_an_error_of_a_guess_and_else_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, test = tmp_path / "train.tsv", tmp_path / "test.tsv"
    others = "".join(f"{user}\t{item}\n" for user in range(50, 90) for item in (500, 501))
    train.write_text(others + "".join(f"{user}\t{item}\n" for user in range(30) for item in range(100, 120)))
    test.write_text("".join(f"{user}\t{900 + user}\n" for user in range(30)))
    options = ["evaluate", "--train", str(train), "--test", str(test), "--models", "popularity", "--k", "2"]
    sentence = "no model finds a test item of any of 30 users in its first 2 places"
    assert main(options) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert sentence in shown
    assert "say it with --columns" in shown
    found, _ = evaluated([*options, "--columns", "user,item"], tmp_path, capsys)
    assert any(sentence in note for note in found["notes"])


def test_dislikes_that_count_as_hits_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "jokes.tsv"
    data.write_text("".join(f"u{at % 12}\t{at // 12}\t{at % 21 - 10}\n" for at in range(144)))
    options = ["evaluate", "--data", str(data), "--protocol", "strong_generalisation", "--models", "popularity"]
    found, _ = evaluated(options, tmp_path, capsys)
    assert any("have values below 0 and count as hits" in note for note in found["notes"])
    found, _ = evaluated([*options, "--relevant-min-value", "1"], tmp_path, capsys)
    assert not any("below 0" in note for note in found["notes"])


def test_a_folder_called_like_a_column_is_no_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "user=9"
    folder.mkdir()
    rows = [(f"u{at % 12}", f"i{at // 12}") for at in range(144)]
    pq.write_table(
        pa.table({"user": [user for user, _ in rows], "item": [item for _, item in rows]}), folder / "r.parquet"
    )
    options = ["--protocol", "strong_generalisation", "--models", "popularity"]
    found, _ = evaluated(["evaluate", "--data", str(folder / "r.parquet"), *options], tmp_path, capsys)
    assert (found["data"]["users"], found["data"]["items"]) == (12, 12)


def test_options_of_reading_reach_the_file_and_the_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "shop.txt"
    rows = "".join(f"é{at % 9}^{at % 13}^{1 + at % 28:02}.12.2010 08:26\n" for at in range(144))
    data.write_text("who^what^when\n" + rows, encoding="latin-1")
    reading = ["--separator", "^", "--encoding", "latin-1", "--header", "--no-quote", "--time-zone", "Europe/Berlin",
               "--time-format", "%d.%m.%Y %H:%M", "--columns", "user=who,item=what,timestamp=when"]  # fmt: skip
    options = ["evaluate", "--data", str(data), "--protocol", "leave_last_out", "--models", "popularity"]
    found, shown = evaluated([*options, *reading], tmp_path, capsys)
    assert (found["data"]["users"], found["data"]["items"]) == (9, 13)
    assert found["settings"]["time_zone"] == "Europe/Berlin"
    assert "user é0, item 0, timestamp 2010-12-01 07:26:00 UTC" in shown


def test_what_a_file_holds_cannot_command_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data.csv"
    data.write_text("user,item\n" + "".join(f"u{at % 9}\x1b[2J,i{at % 13}\n" for at in range(60)))
    main(["evaluate", "--data", str(data), "--protocol", "strong_generalisation", "--models", "popularity"])
    shown = capsys.readouterr().out
    assert "\x1b[2J" not in shown
    assert r"u0\x1b[2J" in shown
