"""The gate: one planted fault per check, and figures that are taken as stated."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.models.popularity import PopularityConfig, PopularityModel
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.monitoring.priors import Profile, draw
from recsys_pipeline.core.serving import gate_figures
from recsys_pipeline.core.serving.calibration import REFERENCE_MS
from recsys_pipeline.core.serving.gate import DECISION, Decision, judge
from recsys_pipeline.core.serving.gate_checks import CHECKS
from recsys_pipeline.core.serving.gate_figures import (
    Numbers,
    Trial,
    as_it_would_serve,
    largest_share,
    latency_p99_ms,
    measure,
    without_fitted,
)
from recsys_pipeline.core.serving.gate_likeness import shifts, spread
from recsys_pipeline.core.serving.gate_limits import GateLimits
from recsys_pipeline.core.serving.gate_record import Gap, GateFigures, Likeness, Scale, Shift
from recsys_pipeline.core.serving.recommend import recommend
from recsys_pipeline.core.serving.release import Release, ReleaseConfig
from recsys_pipeline_tests.release_fixtures import LAST_ITEM, N_ITEMS, N_USERS, ratings, tiny_release

LIKE = Likeness(
    n_users=100, overlap=0.7, alike=0.2, nearer=Gap(0.5, 0.45, 0.55, 0.001, 100),
    shifts=(Shift("recommended_category", 0.1, 0.3),), filled=1.0, champion_filled=1.0, champion_empty=0.0, on_sale=60,
    champion_on_sale=60, other_settings=(), growth=1.1,
    scales=(Scale("score", 0.11, 0.1), Scale("user_norm", 0.6, 0.6), Scale("item_spread", 0.95, 0.96)),
)  # fmt: skip
GOOD = GateFigures(
    day="2026-01-06", ndcg=0.2, ndcg_low=0.15, ndcg_high=0.25, n_users=100, coverage=0.5, recall=0.99, n_not_finite=0,
    item_norm_median=1.0, item_norm_max=3.0, full_lists=1.0, empty_lists=0.0, events_share=0.1,
    events_of_user=500, test_share=0.1, test_rows_of_user=200, latency_p99_ms=5.0,
    versus_popularity=Gap(0.1, 0.05, 0.15, 0.001, 100), versus_champion=Gap(-0.01, -0.03, 0.01, 0.4, 100),
    versus_best=Gap(-0.02, -0.05, 0.01, 0.2, 100), best_ndcg=0.22, best_day="2026-01-03", one_list=0.001,
    sampled_users=1000, unlike_judged=0.0, likeness=LIKE,
)  # fmt: skip
BETTER = Gap(0.03, 0.02, 0.04, 0.0002, 100)
CHAMPION = dataclasses.replace(GOOD, day="2026-01-05", versus_champion=None, likeness=None)
LIMITS = GateLimits()


def test_a_release_like_its_champion_passes() -> None:
    made = judge(GOOD, CHAMPION, LIMITS)
    assert made.promoted
    assert made.champion == "2026-01-05"
    assert made.why_not == ""
    assert [check.name for check in made.checks] == [check.__name__ for check in CHECKS]


def test_a_first_release_is_judged_by_floors_alone() -> None:
    first = dataclasses.replace(CHAMPION, versus_best=None, best_ndcg=math.nan, best_day="")
    made = judge(first, None, LIMITS)
    assert made.promoted
    assert made.champion == ""


FAR, PRICES = Shift("recommended_category", 2.6, 0.3), Shift("recommended_price", 0.1, 0.3)


def like(**changes: Any) -> dict[str, Any]:
    """Figures whose likeness to the champion differs."""
    return {"likeness": dataclasses.replace(LIKE, **changes)}


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ({"versus_champion": Gap(-0.05, -0.08, -0.02, 0.001, 100)}, "not_worse_than_champion"),
        ({"versus_champion": Gap(math.nan, math.nan, math.nan, math.nan, 0)}, "not_worse_than_champion"),
        ({"versus_champion": None}, "not_worse_than_champion"),
        ({"versus_popularity": Gap(-0.05, -0.08, -0.02, 0.001, 100)}, "not_worse_than_popularity"),
        ({"versus_popularity": Gap(math.nan, math.nan, math.nan, math.nan, 0)}, "not_worse_than_popularity"),
        ({"versus_best": Gap(-0.1, -0.12, -0.07, 0.001, 100)}, "near_the_best"),
        ({"versus_best": Gap(math.nan, math.nan, math.nan, math.nan, 0)}, "near_the_best"),
        ({"coverage": 0.24}, "covers_the_catalogue"),
        ({"coverage": math.nan}, "covers_the_catalogue"),
        ({"coverage": 0.26, "one_list": 0.06}, "covers_the_catalogue"),
        ({"one_list": math.nan}, "covers_the_catalogue"),
        (like(shifts=(PRICES, Shift("recommended_category", 2.1, 0.3))), "lists_near_the_champions"),
        (like(shifts=(Shift("recommended_price", math.inf, 0.0),)), "lists_near_the_champions"),
        (like(shifts=(Shift("recommended_price", 2.4, 2.5), FAR)), "lists_near_the_champions"),
        (like(overlap=0.2, nearer=Gap(0.03, 0.01, 0.05, 0.001, 100)), "lists_near_the_champions"),
        (like(on_sale=30), "catalogue_is_whole"),
        (like(filled=0.7), "lists_are_full"),
        (like(scales=(Scale("score", 0.2, 0.1),)), "scale_is_the_settings"),
        (like(scales=(Scale("user_norm", 0.3, 0.6),)), "scale_is_the_settings"),
        (like(scales=(Scale("item_norm", math.nan, 0.6),)), "scale_is_the_settings"),
        (like(scales=(Scale("item_spread", 0.001, 0.9),)), "scale_is_the_settings"),
        (like(scales=(Scale("item_spread", 0.001, 0.9),), other_settings=("reg",)), "scale_is_the_settings"),
        ({"unlike_judged": 0.02}, "serves_the_judged_model"),
        ({"unlike_judged": math.nan}, "serves_the_judged_model"),
        ({"recall": 0.94}, "index_finds_neighbours"),
        ({"n_not_finite": 1}, "vectors_are_sane"),
        ({"item_norm_max": 101.0}, "vectors_are_sane"),
        ({"item_norm_median": 0.0}, "vectors_are_sane"),
        ({"latency_p99_ms": 101.0}, "lists_are_fast"),
        ({"latency_p99_ms": math.nan}, "lists_are_fast"),
        ({"full_lists": 0.98}, "lists_are_full"),
        ({"empty_lists": 0.03}, "lists_are_full"),
        ({"events_share": 0.3}, "no_user_dominates"),
        ({"test_share": 0.3}, "no_user_dominates"),
    ],
)
def test_each_fault_is_found_by_its_check_alone(fault: dict[str, Any], check: str) -> None:
    made = judge(dataclasses.replace(GOOD, **fault), CHAMPION, LIMITS)
    assert [row.name for row in made.checks if not row.passed] == [check]
    assert not made.promoted
    assert made.why_not == made.check(check).words


@pytest.mark.parametrize(
    "harmless",
    [
        {"versus_champion": Gap(-0.05, -0.11, 0.001, 0.06, 100)},
        {"versus_champion": Gap(-0.3, -0.3, -0.3, 1.0, 1)},
        {"versus_champion": Gap(-0.05, -0.09, -0.01, 0.008, 100)},
        {"versus_popularity": Gap(-0.3, -0.5, -0.1, 0.25, 3)},
        {"versus_best": None},
        {"ndcg": 0.05, "ndcg_low": 0.04, "ndcg_high": 0.06},
        {"one_list": 0.5},
        {"events_share": 0.9, "events_of_user": 99},
        {"empty_lists": 0.012},
        {"empty_lists": 0.1} | like(champion_empty=0.1),
        like(shifts=(Shift("recommended_price", 2.4, 2.5),)),
        like(overlap=0.3, nearer=Gap(0.2, 0.15, 0.25, 0.001, 100)),
        like(overlap=0.3, nearer=Gap(0.05, -0.1, 0.2, 0.5, 8)),
        like(overlap=0.4, nearer=Gap(0.0, -0.01, 0.02, 0.5, 100), alike=0.9),
        like(scales=(Scale("score", 0.2, 0.1),), growth=4.0),
        like(scales=(Scale("score", 9.0, 0.1), Scale("item_norm", 0.01, 1.0)), other_settings=("reg",)),
        {"drifted": ("hour_of_day",)},
    ],
)
def test_what_may_be_chance_passes(harmless: dict[str, Any]) -> None:
    made = judge(dataclasses.replace(GOOD, **harmless), CHAMPION, LIMITS)
    assert made.promoted
    assert (made.warnings != ()) == ("drifted" in harmless)


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        ({"coverage": 0.1}, "covers_the_catalogue"),
        (like(shifts=(FAR,)), "lists_near_the_champions"),
        (like(overlap=0.2, nearer=Gap(0.0, -0.02, 0.02, 0.9, 100)), "lists_near_the_champions"),
        (like(scales=(Scale("item_spread", 0.001, 0.9),), other_settings=("reg",)), "scale_is_the_settings"),
    ],
)
def test_what_is_clearly_better_is_never_too_far_from_its_champion(distance: dict[str, Any], words: str) -> None:
    far = dataclasses.replace(GOOD, **distance)
    assert not judge(far, CHAMPION, LIMITS).promoted
    made = judge(dataclasses.replace(far, versus_champion=BETTER), CHAMPION, LIMITS)
    assert made.promoted
    assert "clearly better on the same users, so the distance does not count" in made.check(words).words
    few = dataclasses.replace(far, versus_champion=dataclasses.replace(BETTER, n=LIMITS.min_users_clear - 1))
    assert not judge(few, CHAMPION, LIMITS).promoted, "a handful of users makes nothing clear"


@pytest.mark.parametrize(
    "damage",
    [
        {"coverage": 0.004},
        {"full_lists": 0.98},
        {"empty_lists": 0.1},
        like(on_sale=30),
        like(filled=0.5),
        like(scales=(Scale("score", 0.2, 0.1),)),
        {"unlike_judged": 0.5},
        {"n_not_finite": 1},
    ],
)
def test_what_users_would_see_stops_a_better_model_too(damage: dict[str, Any]) -> None:
    assert judge(dataclasses.replace(GOOD, versus_champion=BETTER), CHAMPION, LIMITS).promoted
    assert not judge(dataclasses.replace(GOOD, versus_champion=BETTER, **damage), CHAMPION, LIMITS).promoted


def test_the_words_say_which_rule_applies() -> None:
    equal = judge(GOOD, CHAMPION, LIMITS).check("scale_is_the_settings")
    assert equal.words.startswith("equal settings; largest change of scale: score, 1.10 times")
    other = dataclasses.replace(GOOD, **like(other_settings=("embedding_size", "reg")))
    words = judge(other, CHAMPION, LIMITS).check("scale_is_the_settings").words
    assert "other settings than the champion's (embedding_size, reg), so scores and norms are not compared" in words
    gone = judge(dataclasses.replace(GOOD, versus_best=None), CHAMPION, LIMITS).check("near_the_best")
    assert "the release of 2026-01-03, the best before it, is gone" in gone.words


def test_a_champion_that_has_seen_every_test_row_is_told() -> None:
    nothing = Gap(math.nan, math.nan, math.nan, math.nan, 0)
    made = judge(dataclasses.replace(GOOD, versus_champion=nothing, rows_left_out=7), CHAMPION, LIMITS)
    assert "7 were left out, which its fit has seen" in made.why_not


def test_a_tolerance_lets_a_small_loss_pass() -> None:
    loss = dataclasses.replace(GOOD, versus_champion=Gap(-0.02, -0.03, -0.01, 0.001, 100))
    assert not judge(loss, CHAMPION, LIMITS).promoted
    assert judge(loss, CHAMPION, GateLimits(tolerance=0.01)).promoted


def test_a_decision_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = judge(dataclasses.replace(GOOD, drifted=("event",)), CHAMPION, LIMITS)
    made.save(tmp_path)
    assert Decision.load(tmp_path) == made
    same = dataclasses.replace(made, figures=dataclasses.replace(made.figures, latency_p99_ms=99.0))
    before = (tmp_path / DECISION).read_bytes()
    same.save(tmp_path)
    assert (tmp_path / DECISION).read_bytes() == before, "how fast lists were is stored apart"
    for slow_ms in (105.0, 240.0):
        slow = judge(dataclasses.replace(GOOD, latency_p99_ms=slow_ms), CHAMPION, LIMITS)
        slow.save(tmp_path)
        assert Decision.load(tmp_path) == slow
        assert (tmp_path / DECISION).read_bytes() != before, "another verdict must never pass for the same decision"
        before = (tmp_path / DECISION).read_bytes()
    earlier = json.loads((tmp_path / DECISION).read_text())
    del earlier["figures"]["likeness"], earlier["figures"]["versus_best"]
    earlier["figures"]["shifts"] = [{"feature": "score", "psi": 0.1, "threshold": 0.3}]
    earlier["checks"] = [row for row in earlier["checks"] if row["name"] != "scale_is_the_settings"]
    (tmp_path / DECISION).write_text(json.dumps(earlier))
    found = Decision.load(tmp_path)
    assert (found.figures.coverage, found.figures.likeness) == (GOOD.coverage, None), "the champion's, before an update"
    assert "scale_is_the_settings" not in {check.name for check in found.checks}
    (tmp_path / DECISION).write_text('{"figures": {}}')
    with pytest.raises(ArtifactError, match=r"decision\.json is of another version"):
        Decision.load(tmp_path)


# -- figures ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return tiny_release(tmp_path_factory.mktemp("release") / "one")


def fold() -> Fold:
    """The rows that the tiny model was fitted on are train; the four of the last hour are test."""
    known = ratings()
    fitted = known.item != LAST_ITEM
    return Fold(known.take(fitted), known.take(np.zeros(len(known), bool)), known.take(~fitted))


def trial(release: Release, **changes: Any) -> Trial:
    popular = PopularityModel(PopularityConfig(), np.arange(N_ITEMS, 0, -1, dtype=np.float32), release.n_users)
    events = np.array([0, 1, 1, 2, -1, -1, -1, -1], np.int64)
    return dataclasses.replace(Trial(release, fold(), popular, events), **changes)


def test_figures_of_a_first_release(release: Release) -> None:
    ticks = iter(np.arange(0, 1000, 0.002).tolist())
    found = measure(trial(release), GateLimits(sampled_users=20, timed_users=5), seed=0, clock=lambda: next(ticks))
    assert found.n_users == 4
    assert found.versus_champion is None
    assert found.recall == 1.0
    assert found.n_not_finite == 0
    assert found.full_lists == 1.0
    assert found.one_list == 5 / len(release.on_sale_rows)
    assert found.one_list <= found.coverage <= 1
    assert (found.events_share, found.events_of_user) == (0.5, 2)
    assert (found.test_share, found.test_rows_of_user) == (0.25, 1)
    assert found.latency_p99_ms == pytest.approx(REFERENCE_MS), "each list took as long as the work beside it"
    assert found.item_norm_max >= found.item_norm_median > 0
    assert found.unlike_judged < 1e-4
    assert found.sampled_users == 20


def test_users_who_know_nearly_everything_have_lists_as_long_as_they_can_be(tmp_path: Path) -> None:
    known = ratings()
    one = known.user == 0
    rest = np.setdiff1d(np.arange(N_ITEMS), known.item[one])[:-2].astype(np.int32)
    more = Ratings(
        np.concatenate([known.user, np.zeros(len(rest), np.int32)]), np.concatenate([known.item, rest]),
        np.ones(len(known) + len(rest), np.float32),
        np.concatenate([known.timestamp_us, np.full(len(rest), known.timestamp_us.max())]), N_USERS, N_ITEMS,
    )  # fmt: skip
    has_it_all = tiny_release(tmp_path / "release", ReleaseConfig(k=10), histories=more, fitted=None)
    found = measure(trial(has_it_all), GateLimits(timed_users=1), seed=0)
    assert found.full_lists == 1.0
    assert (recommend(has_it_all, None, ["user-0"], 10).item_ids == "").any()


class Machine:
    """A stopwatch, and how long a list and the work beside it take: milliseconds each, the first lists longer."""

    def __init__(self, list_ms: float, work_ms: float, first_ms: float = 0.0, n_first: int = 0) -> None:
        self.now_ms, self.list_ms, self.work_ms = 0.0, list_ms, work_ms
        self.first_ms, self.n_left = first_ms, n_first + 1  # and one that is not timed

    def clock(self) -> float:
        """Seconds."""
        return self.now_ms / 1000

    def make_list(self, *_: Any) -> None:
        """Some lists first, and all others."""
        self.now_ms += self.first_ms if self.n_left > 0 else self.list_ms
        self.n_left -= 1

    def work(self) -> None:
        """The fixed work."""
        self.now_ms += self.work_ms


@pytest.mark.parametrize(
    ("machine", "found_ms"),
    [
        (Machine(5.0, REFERENCE_MS), 5.0),
        (Machine(50.0, 10 * REFERENCE_MS), 5.0),
        (Machine(5.0, REFERENCE_MS, first_ms=900.0, n_first=20), 5.0),
        (Machine(150.0, REFERENCE_MS), 150.0),
        (Machine(1500.0, 10 * REFERENCE_MS), 150.0),
        (Machine(150.0, REFERENCE_MS, first_ms=900.0, n_first=1), 150.0),
    ],
    ids=["idle", "busy", "busy at first", "slow lists", "slow lists on a busy machine", "slow lists, busy at first"],
)
def test_the_machine_s_load_is_told_from_a_slow_release(
    release: Release, monkeypatch: pytest.MonkeyPatch, machine: Machine, found_ms: float
) -> None:
    monkeypatch.setattr(gate_figures, "recommend", machine.make_list)
    monkeypatch.setattr(gate_figures, "calibration_work", machine.work)
    assert latency_p99_ms(release, 20, 0, machine.clock) == pytest.approx(found_ms)


def test_a_release_against_itself_is_no_better_and_no_worse(release: Release) -> None:
    found = measure(trial(release, champion=release, best=release, best_day="x"), GateLimits(timed_users=1), seed=0)
    assert found.versus_champion is not None
    assert (found.versus_champion.low, found.versus_champion.high) == (0.0, 0.0)
    assert found.rows_left_out == 0
    assert found.versus_best == found.versus_champion
    assert found.best_ndcg > 0
    likeness = found.likeness
    assert likeness is not None
    assert (likeness.overlap, likeness.other_settings, likeness.growth) == (1.0, (), 1.0)
    assert all(row.now == row.then > 0 for row in likeness.scales)
    assert {row.feature for row in likeness.scales} == {"score", "user_norm", "item_norm", "item_spread"}
    assert (likeness.on_sale, likeness.champion_on_sale) == (len(release.on_sale_rows),) * 2


def test_rows_that_the_champion_was_fitted_on_are_left_out(release: Release) -> None:
    known = ratings()
    test, left_out = without_fitted(known, release, Numbers.of(release, release))
    assert set(test.item) == {LAST_ITEM}
    assert left_out == len(known) - 4


def test_a_champion_cannot_recommend_what_it_does_not_know(release: Release) -> None:
    known = dataclasses.replace(ratings(), n_items=N_ITEMS + 2)
    late = dataclasses.replace(known, item=np.where(known.item == 0, N_ITEMS + 1, known.item).astype(np.int32))
    numbers = Numbers(np.arange(N_USERS), np.array([*range(N_ITEMS), -1, -1]))
    scores = as_it_would_serve(release, late, numbers).scores(np.arange(3, dtype=np.int32))
    assert scores.shape == (3, N_ITEMS + 2)
    assert (scores[:, N_ITEMS:] < scores[:, :N_ITEMS].min()).all()
    assert np.isfinite(scores).all()


def test_a_champion_with_other_numbers_is_read_by_id(release: Release) -> None:
    """As where somebody made an earlier snapshot again: the same ids stand in another order."""
    known, straight = ratings(), Numbers(np.arange(N_USERS), np.arange(N_ITEMS))
    turned = Numbers(straight.user[::-1], straight.item[::-1])
    user, item = (N_USERS - 1 - known.user).astype(np.int32), (N_ITEMS - 1 - known.item).astype(np.int32)
    backwards = dataclasses.replace(known, user=user, item=item)
    users = np.arange(N_USERS, dtype=np.int32)
    scores = as_it_would_serve(release, backwards, turned).scores(users)
    expected = as_it_would_serve(release, known, straight).scores(users)
    np.testing.assert_allclose(scores[::-1, ::-1], expected, rtol=1e-4, atol=1e-5)
    assert without_fitted(backwards, release, turned)[1] == without_fitted(known, release, straight)[1]


def test_a_feature_that_vanished_is_infinitely_far() -> None:
    values = np.linspace(0, 1, 100)
    score, price = (draw(name, values, np.arange(100), 100, 0) for name in ("score", "recommended_price"))
    with pytest.warns(UserWarning, match="recommended_price"):
        found = shifts(Profile({"score": score, "recommended_price": price}), Profile({"score": score}))
    assert [(row.feature, row.psi) for row in found] == [("recommended_price", math.inf)]


def test_vectors_that_fell_together_have_no_spread() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    assert np.median(spread(vectors, 0)) == pytest.approx(1.0, abs=0.1)
    assert np.median(spread(9 * vectors, 0)) == pytest.approx(np.median(spread(vectors, 0)))
    assert np.median(spread(1 + 0.01 * vectors, 0)) < 0.001


def test_nobody_has_a_share_of_nothing() -> None:
    assert largest_share(np.empty(0, np.int64)) == (0.0, 0)
