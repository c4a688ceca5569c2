"""`recsys evaluate --protocol day_by_day`: the curve from the command line, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from recsys_pipeline.cli import main

FIRST_S, DAY_S = 1_767_225_600, 86_400  # 2026-01-01 in UTC


@pytest.fixture
def ratings_file(tmp_path: Path) -> Path:
    """Twelve days of ratings, of which each pair comes once."""
    rng = np.random.default_rng(0)
    pairs = rng.permutation(40 * 25)[:800]
    moments = FIRST_S + rng.integers(0, 12 * DAY_S, 800)
    rows = (f"u{pair // 25},i{pair % 25},5,{moment}" for pair, moment in zip(pairs, moments, strict=True))
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,value,timestamp\n" + "\n".join(rows) + "\n")
    return path


def options(path: Path, *more: str) -> list[str]:
    return ["evaluate", "--data", str(path), "--protocol", "day_by_day", "--models", "popularity,random", *more]


def test_the_last_days_are_predicted_one_by_one(
    ratings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    assert main(options(ratings_file, "--days", "3", "--ages", "0,7", "--json", str(out))) == 0
    document, shown = json.loads(out.read_text()), capsys.readouterr().out
    figures = document["figures"]
    days = ["2026-01-10", "2026-01-11", "2026-01-12"]
    assert sorted({row["day"] for row in figures if row["age_days"] == 0}) == days
    assert {row["day"] for row in figures if row["age_days"] == 7} == {days[-1]}
    assert {row["is_folded_in"] for row in figures if row["age_days"] == 7} == {True, False}
    assert all(row["low"] <= row["value"] <= row["high"] for row in figures)
    assert "2026-01-12" in shown
    assert len(document["files"]["data"]["sha256"]) == 64
    again = tmp_path / "again.json"
    assert main(options(ratings_file, "--days", "3", "--ages", "0,7", "--json", str(again))) == 0
    assert json.loads(again.read_text())["figures"] == figures


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--days", "0"], "--days 0"),
        (["--ages", "0,soon"], "--ages 0,soon"),
        (["--ages", "1"], "ages_days"),
        (["--test-share", "0.1"], "no test share"),
    ],
)
def test_bad_options_are_refused(
    ratings_file: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options(ratings_file, *more)) == 1
    assert message in " ".join(capsys.readouterr().out.split())


def test_a_file_without_times_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("user,item\na,b\na,c\nb,c\n")
    assert main(options(path)) == 1
    assert "has no times" in " ".join(capsys.readouterr().out.split())


def test_days_and_ages_belong_to_the_curve(ratings_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "--data", str(ratings_file), "--protocol", "prequential", "--models", "random"]
    assert main([*arguments, "--days", "3"]) == 1
    assert "belongs to --protocol day_by_day" in " ".join(capsys.readouterr().out.split())
