"""Leads are paired over scenes, cold products are told apart, and everything comes back from its files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.folds.triplets import TripletConfig, split_looks
from recsys_pipeline.core.reports.accuracy.significance import exact_p_value
from recsys_pipeline.core.reports.looks.look_report import (
    GROUPED,
    PRIMARY,
    LooksReport,
    group_figures,
    lead_over,
    paired_over_scenes,
    seen_pairs,
    summarise_looks,
)
from recsys_pipeline.core.reports.looks.looks import PairFigures, look_estimates, pair_figures
from recsys_pipeline_tests.look_fixtures import look_data

COLUMNS = (PRIMARY, ("mrr", 0))


def figures(model: str, values: list[list[float]], scenes: list[int]) -> PairFigures:
    return PairFigures(model, COLUMNS, np.array(values, np.float64), np.array(scenes, np.int32), 1.0)


def test_a_lead_by_hand() -> None:
    # Scenes 7 and 9 with 2 and 1 pairs: the gaps .5, .3 and .1 of accuracy average over pairs, not over scenes.
    ours = figures("ours", [[1, 1], [0.8, 1], [0.6, np.nan]], [7, 7, 9])
    theirs = figures("theirs", [[0.5, 1], [0.5, 1], [0.5, np.nan]], [7, 7, 9])
    accuracy, mrr = paired_over_scenes(ours, theirs, seed=0)
    assert accuracy.value == pytest.approx(0.3)
    assert (accuracy.low, accuracy.high) == pytest.approx((0.1, 0.4))  # both draws of one scene alone, and of the other
    assert accuracy.n == 2
    assert accuracy.p_value == pytest.approx(exact_p_value([0.8, 0.1]), abs=0.02)
    # Linearised: (.8 - .3 · 2, .1 - .3) / 1.5 = ±.1333; sd .1886 / √2 times 2.8016 (5% both ways, power .8).
    assert accuracy.detectable == pytest.approx(2.8016 * 0.18856 / np.sqrt(2), rel=1e-3)
    assert (mrr.value, mrr.n, mrr.p_value) == (0, 1, 1)


def test_pairs_of_one_scene_are_not_independent() -> None:
    """Ten scenes of eight equal pairs say no more than ten scenes of one."""
    gaps = np.random.default_rng(0).normal(0.2, 0.5, 10)
    alone, eightfold = (
        paired_over_scenes(
            figures("ours", [[gap, 0] for gap in gaps for _ in range(n)], [s for s in range(10) for _ in range(n)]),
            figures("theirs", [[0, 0]] * (10 * n), [s for s in range(10) for _ in range(n)]),
            seed=1,
        )[0]
        for n in (1, 8)
    )
    assert eightfold == replace(alone, value=eightfold.value, low=eightfold.low, high=eightfold.high,
                                detectable=eightfold.detectable)  # fmt: skip
    for name in ("value", "low", "high", "detectable"):
        assert getattr(eightfold, name) == pytest.approx(getattr(alone, name))


def test_p_values_are_adjusted_for_all_baselines() -> None:
    rng = np.random.default_rng(2)
    scenes = list(range(12))
    ours = figures("ours", rng.normal(0.5, 1, (12, 2)).tolist(), scenes)
    others = [figures(name, rng.normal(0, 1, (12, 2)).tolist(), scenes) for name in ("a", "b", "c")]
    raw = [paired_over_scenes(ours, other, 0)[0].p_value for other in others]
    adjusted = [row.p_value for row in lead_over(ours, others, 0) if (row.metric, row.k) == PRIMARY]
    assert min(adjusted) == pytest.approx(3 * min(raw))
    assert all(one >= other for one, other in zip(adjusted, raw, strict=True))


def test_models_judged_on_other_pairs_are_refused() -> None:
    ours, theirs = figures("ours", [[1, 1]], [0]), figures("theirs", [[1, 1]], [1])
    with pytest.raises(DataError, match="ours and theirs were judged on other pairs"):
        paired_over_scenes(ours, theirs, 0)


def test_cold_products_are_told_apart() -> None:
    data = look_data(n_scenes=20)
    folds = split_looks(data, TripletConfig(test_share=0.4), 0)
    train = folds.train[:12]
    seen = seen_pairs(data, train, folds.test)
    assert 0 < seen.sum() < len(seen)
    for row, known in zip(folds.test, seen, strict=True):
        assert known == (data.product[row] in data.product[train].tolist())
    scores = np.random.default_rng(0).random((len(data), len(data.product_ids)), np.float32)
    whole = pair_figures("model", lambda rows: scores[rows], data, folds.test, folds.test_negatives)
    groups = {(row.group, row.metric, row.k): row for row in
              group_figures([whole], {"seen": seen, "unseen": ~seen}, 0)}  # fmt: skip
    for estimate in look_estimates(whole, 0):
        if estimate.metric in GROUPED:
            parts = [groups[group, estimate.metric, estimate.k] for group in ("seen", "unseen")]
            assert sum(part.n for part in parts) == estimate.n
            assert sum(part.n * part.value for part in parts) / estimate.n == pytest.approx(estimate.value)
            assert parts[1].n_scenes == len(set(data.scene[folds.test[~seen]].tolist()))


def test_a_report_without_cold_products_says_so_and_comes_back(tmp_path: Path) -> None:
    ours, theirs = (figures(name, [[1, 0.5], [0.5, 0.25]], [0, 1]) for name in ("ours", "theirs"))
    with pytest.warns(UserWarning, match="no pair is of the group 'unseen'"):
        report = summarise_looks([ours, theirs], "ours", np.ones(2, bool), 0, 20)
    assert [row.baseline for row in report.differences] == ["theirs", "theirs"]
    cold = [row for row in report.groups if row.group == "unseen"]
    assert cold
    assert all(np.isnan(row.value) and row.n == 0 for row in cold)
    report.save(tmp_path)
    loaded = LooksReport.load(tmp_path)
    assert loaded.differences == report.differences
    assert [row.model for row in loaded.groups] == [row.model for row in report.groups]
    assert {row.metric for row in loaded.estimates} == {"same_category_accuracy", "mrr", "hubness"}
