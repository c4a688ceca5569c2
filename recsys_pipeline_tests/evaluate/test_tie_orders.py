"""No figure depends on what things are called or in which order they stand, and what ties decide is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys_pipeline.cli import main

N_USERS, N_ITEMS = 60, 25
Names = Callable[[int], str]


def write(path: Path, user: Names, item: Names, turned: bool = False) -> Path:
    """Six things each, the last four of one second; popular things have low numbers."""
    rng = np.random.default_rng(1)
    weight = 1.0 / np.arange(1, N_ITEMS + 1)
    lines = []
    for who in range(N_USERS):
        taken = rng.choice(N_ITEMS, 6, replace=False, p=weight / weight.sum())
        times = [10, 20, 30, 30, 30, 30]
        lines += [f"{user(who)},{item(what)},{rng.integers(1, 6)},{at + 100 * who}"
                  for what, at in zip(taken, times, strict=True)]  # fmt: skip
    path.write_text("user,item,rating,timestamp\n" + "\n".join(lines[::-1] if turned else lines) + "\n")
    return path


def evaluated(path: Path, *options: str) -> dict[str, Any]:
    out = path.with_suffix(".json")
    assert main(["evaluate", "--data", str(path), "--k", "5", "--json", str(out), *options]) == 0
    return json.loads(out.read_text())


@pytest.mark.parametrize(
    ("protocol", "models"),
    [
        ("leave_last_out", "random,popularity,cooccurrence,als,ease"),
        ("prequential", "random,cooccurrence"),
        ("strong_generalisation", "random,ease"),
    ],
)
def test_renaming_and_reordering_move_no_figure(tmp_path: Path, protocol: str, models: str) -> None:
    """With the things of one second in the order of their ids, recall went from .08 to .96 with names."""
    files = [
        write(tmp_path / "numbers.csv", str, str),
        write(tmp_path / "letters.csv", lambda u: f"u{u}", lambda i: f"{(i * 7) % N_ITEMS:03}", turned=True),
        write(tmp_path / "reversed.csv", lambda u: str(N_USERS - u), lambda i: str(N_ITEMS - i)),
    ]
    options = ["--protocol", protocol, "--models", models]
    first, *others = (evaluated(path, *options) for path in files)
    figures = [{row["model"]: row["figures"] for row in found["models"]} for found in (first, *others)]
    assert figures[1] == figures[0]
    assert figures[2] == figures[0]


def test_what_ties_decide_is_told_and_their_spread_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "data.csv", str, str)
    options = ["--protocol", "leave_last_out", "--models", "popularity,ease", "--tie-seeds", "4"]
    found = evaluated(path, *options)
    shown = capsys.readouterr().out
    assert found["data"]["users_cut_in_a_tie"] == N_USERS
    assert "what is tested of 60 of 60 test users (100%) was drawn among rows of one instant" in found["notes"]
    row = next(row for row in found["tie_spread"] if (row["model"], row["metric"]) == ("popularity", "recall"))
    of_seed_0 = next(figures for figures in found["models"] if figures["model"] == "popularity")["figures"]
    recall = next(figure["value"] for figure in of_seed_0 if figure["metric"] == "recall")
    assert row["n_orders"] == 4
    assert row["low"] <= recall <= row["high"]
    assert row["low"] < row["mean"] < row["high"]
    assert row["deviation"] > 0
    assert "Over 4 orders of rows that tie in time: mean ± deviation [lowest highest]" in shown


def test_lines_in_order_leave_nothing_to_be_drawn(tmp_path: Path) -> None:
    path = write(tmp_path / "data.csv", str, str)
    found = evaluated(path, "--protocol", "leave_last_out", "--models", "popularity", "--tie-order", "lines")
    assert found["data"]["users_cut_in_a_tie"] == 0
    assert found["settings"]["tie_order"] == "lines"
    turned = write(tmp_path / "turned.csv", str, str, turned=True)
    other = evaluated(turned, "--protocol", "leave_last_out", "--models", "popularity", "--tie-order", "lines")
    assert other["models"][0]["figures"] != found["models"][0]["figures"]
