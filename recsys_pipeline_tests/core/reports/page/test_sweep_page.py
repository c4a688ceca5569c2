"""The page of a sweep: complete, escaped, self-contained, and true to its trials."""

import json
import math
import re
from typing import Any

import pytest

from recsys_pipeline.core.learning.sweeps.baseline import Comparison, Gain
from recsys_pipeline.core.learning.sweeps.sweep import SweepResult, Trial, best_of, parse_sweep
from recsys_pipeline.core.learning.sweeps.trials import FAILED, FINISHED, STOPPED
from recsys_pipeline.core.reports.page.sweep_page import _known, importance_of, render_sweep, scores_of, trial_rows
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


IN_USE = Trial(0, {**vars(Toy()), "reg": 9.0}, {"loss": 0.6, "auc": 0.5}, FINISHED, 1.5, is_baseline=True)
CLEAR = Gain(0.61, 0.32, -0.4, -0.2, 0.0004, 57, "users")


def with_in_use(comparison: Comparison, *, best: int = 3) -> SweepResult:
    found = [trial(number, loss=0.2 if number == best else 0.7) for number in range(1, 13)]
    sweep = parse_sweep(HEAD.format(method="random") + SPACE, Toy)
    return best_of(sweep, [IN_USE, *found], comparison)


def test_the_page_says_first_which_settings_are_taken_and_why() -> None:
    taken = render_sweep(with_in_use(Comparison(3, CLEAR)), "2026-01-05", "abc", "Optuna")
    assert taken.index("Trial 3 takes the place of the settings in use: on 57 users") < taken.index(
        "Trial 3 is the best"
    )
    assert "0.3200 against 0.6100, -0.2900 [-0.4000, -0.2000], p = 0.000." in taken
    verdict = taken[taken.index('id="verdict"') : taken.index('id="search"')]
    cells = re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", verdict)
    assert cells[:3] == ["", "in use", "trial 3"]
    assert cells[3:9] == ["loss, search", "0.6", "0.2", "loss, apart", "0.61", "0.32"]
    assert cells[9:] == ["reg", "9", "0.004"], "what the two have in common is left out"
    stays = render_sweep(with_in_use(Comparison(3, CLEAR, "it may be chance")), "2026-01-05", "abc", "Optuna")
    assert "The settings in use stay: trial 3 came out best, but it may be chance." in stays
    assert "Verdict" not in render_sweep(result_of(*TRIALS), "2026-01-05", "abc", "Optuna")


def test_what_is_in_use_is_a_line_and_a_row_and_no_trial_of_the_search() -> None:
    result = with_in_use(Comparison(3, CLEAR))
    page = render_sweep(result, "2026-01-05", "abc", "Optuna")
    assert "Trial 3 is the best of 12: loss 0.2 with reg 0.004, size 4." in page
    lines = re.findall(r'<g class="line ([^"]*)" data-trial="(\d+)"', page)
    assert lines[-1] == ("in-use finished", "0"), "drawn over the others"
    assert page.count("in use</small>") == 1
    assert 9.0 not in [params["reg"] for params in _known(result)[0]], "it may lie outside of the space"


def test_a_search_that_found_nothing_better_says_so() -> None:
    worse = [trial(number, loss=0.7) for number in range(1, 4)]
    sweep = parse_sweep(HEAD.format(method="random") + SPACE, Toy)
    result = best_of(
        sweep, [IN_USE, *worse], Comparison(0, why_not="no trial came out better than the settings in use")
    )
    page = render_sweep(result, "2026-01-05", "abc", "Optuna")
    assert "The settings in use are better than each of 3 trials: loss 0.6" in page
    assert re.findall(r'<g class="line (in-use best) finished" data-trial="0"', page)
