"""The page of a sweep: complete, escaped, self-contained, and true to its trials."""

import json
import math
import re
from typing import Any

import pytest

from recsys_pipeline.core.learning.sweeps.sweep import SweepResult, Trial, best_of, parse_sweep
from recsys_pipeline.core.learning.sweeps.trials import FAILED, FINISHED, STOPPED
from recsys_pipeline.core.reports.page.sweep_page import importance_of, render_sweep, scores_of, trial_rows
from recsys_pipeline_tests.core.learning.sweeps.test_sweep import HEAD, Toy
from recsys_pipeline_tests.core.reports.page.test_page import EVIL, Outline

SPACE = "  reg: {min: 0.001, max: 1.0}\n  size: {min: 1, max: 8}\n  bias: {value: true}\n"


def trial(number: int, state: str = FINISHED, loss: float = math.nan, error: str = "") -> Trial:
    params = {"reg": 0.001 * (number + 1), "size": 1 + number % 8, "bias": True}
    metrics = {"loss": loss, "auc": 0.5} if state != FAILED else {}
    rungs = {2: loss} if state == STOPPED else {}
    return Trial(number, params, metrics, state, 1.5, error, rungs)


def result_of(*trials: Trial) -> SweepResult:
    return best_of(parse_sweep(HEAD.format(method="random") + SPACE, Toy), trials)


TRIALS = [
    trial(0, loss=0.9), trial(1, FAILED, error=f"ModelError: {EVIL}"), trial(2, STOPPED, 0.7), trial(3, loss=0.2),
    *(trial(number, loss=0.3 + 0.01 * number) for number in range(4, 14)),
]  # fmt: skip


def test_the_page_is_whole_self_contained_and_escaped() -> None:
    page = render_sweep(result_of(*TRIALS), "2026-01-05", "abc123", "Optuna")
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert EVIL not in page
    assert "&lt;script&gt;alert" in page
    assert not re.search(r"""(src|href)=["']https?:""", page)
    assert "Trial 3 is the best of 14: loss 0.2 with reg 0.004, size 4." in page
    assert "Trial 1 failed: ModelError:" in page
    assert "The same in every trial: bias True." in page
    assert page == render_sweep(result_of(*TRIALS), "2026-01-05", "abc123", "Optuna")


def test_every_trial_is_a_row_best_first_and_every_value_a_line() -> None:
    page = render_sweep(result_of(*TRIALS), "2026-01-05", "abc123", "Optuna")
    rows = [int(number) for number in re.findall(r'<tr data-trial="(\d+)"', page)]
    assert sorted(rows) == list(range(14))
    assert (rows[0], rows[-1]) == (3, 1)
    lines = re.findall(r'<g class="line ([^"]*)" data-trial="(\d+)"', page)
    assert {int(number) for _, number in lines} == set(range(14)) - {1}
    assert lines[-1] == ("best finished", "3")
    assert [number for kind, number in lines if "stopped" in kind] == ["2"]


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_further_right_is_better_in_the_last_row(goal: str) -> None:
    text = HEAD.format(method="random").replace("minimize", goal) + SPACE
    result = best_of(parse_sweep(text, Toy), [trial(0, loss=0.9), trial(1, loss=0.2)])
    page = render_sweep(result, "2026-01-05", "abc", "Optuna")
    ends = dict(re.findall(r'data-trial="(\d)"><polyline points="[^"]* (\d+),\d+"', page))
    assert ends == ({"0": "0", "1": "1000"} if goal == "minimize" else {"0": "1000", "1": "0"})


def test_one_trial_is_enough_for_a_page() -> None:
    page = render_sweep(result_of(trial(0, loss=0.5)), "2026-01-05", "abc", "Optuna")
    assert "Trial 0 is the best of 1: loss 0.5." in page


def test_tables_and_scores_follow_the_trials() -> None:
    result: Any = result_of(*TRIALS)
    rows = trial_rows(result)
    assert [row["state"] for row in rows[:4]] == ["finished", "failed", "stopped", "finished"]
    assert (rows[2]["stopped_at"], rows[0]["stopped_at"]) == (2, None)
    assert json.dumps(rows[3]["reg"]) == "0.004"
    assert [math.isnan(score) for score in scores_of(result)[:4]] == [False, True, False, False]
    assert [math.isnan(score) for score in scores_of(result, finished=True)[:4]] == [False, True, True, False]
    assert set(importance_of(result)) == {"reg", "size"}


@pytest.mark.parametrize("odd_loss", [0.5, 0.1, 0.9], ids=["all tie", "one is better", "one is worse"])
def test_what_ties_is_not_told_apart(odd_loss: float) -> None:
    result = result_of(*(trial(number, loss=0.5) for number in range(11)), trial(11, loss=odd_loss))
    page = render_sweep(result, "2026-01-05", "abc", "Optuna")
    assert "matters most" not in page
    assert "What matters is unknown: the best trials cannot be told apart: 1" in page
    assert importance_of(result) == {}
    if odd_loss == 0.1:
        assert "Trial 11 is the best of 12: loss 0.1" in page
    else:
        n_best = 12 if odd_loss == 0.5 else 11
        assert f"{n_best} of 12 trials come to the best loss, 0.5, and cannot be told apart; trial 0 is the" in page


def test_a_space_that_was_tried_is_told() -> None:
    sweep = parse_sweep(HEAD.format(method="random") + "  size: {values: [1, 2]}\n", Toy)
    trials = [Trial(number, {"size": number + 1}, {"loss": 0.5}, FINISHED, 1.0) for number in range(2)]
    assert "all 2 points of the space were tried" in render_sweep(best_of(sweep, trials), "2026-01-05", "a", "Optuna")
    assert "of the space" not in render_sweep(best_of(sweep, trials[:1]), "2026-01-05", "a", "Optuna")
