"""Models that go on from day to day, by the real assets: chains, days out of order, a gap that is too large."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from recsys_pipeline.adapters.store.artifact_store import Artifact
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.models import als
from recsys_pipeline.core.models.als import AlsConfig, AlsModel
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.parity.gaps import compare_rankings
from recsys_pipeline_tests.deployment import Deployment, failure

ALS = ("dataset/interactions", "dataset/snapshot", "folds/prequential", "models/als")
LOOKS = ("dataset/items", "dataset/looks", "folds/triplets", "models/stl")
SMALL = {"embedding_size": 7, "epochs": 8}
SMALL_LOOKS = {"widths": [4, 8], "embedding_size": 8, "epochs": 1, "warm_epochs": 1}
WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY, MONDAY = (f"2026-01-{day:02d}" for day in range(7, 13))


def fit(deployment: Deployment, day: str, **fields: object) -> Artifact:
    assert deployment.materialize(*ALS, day=day, models__als={**SMALL, **fields}).success
    return deployment.artifacts(day)["models/als"]


def starts(model: Artifact) -> list[str]:
    """Days of the models that this one went on from directly."""
    inputs = model.manifest.recipe.inputs
    return [ref.partition for ref in inputs if ref.key == model.manifest.recipe.key]


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A full fit on Thursday and two days that go on from it."""
    deployment = Deployment(tmp_path_factory.mktemp("week"))
    for day in (THURSDAY, FRIDAY, SATURDAY):
        fit(deployment, day)
    return deployment


def test_days_go_on_from_each_other_and_the_manifest_says_so(week: Deployment) -> None:
    models = [week.artifacts(day)["models/als"] for day in (THURSDAY, FRIDAY, SATURDAY)]
    assert [starts(model) for model in models] == [[], [THURSDAY], [FRIDAY]]
    assert [ref for ref in models[2].manifest.recipe.inputs if ref.key == "models/als"] == [models[1].manifest.ref]
    assert [model.manifest.metrics["fit"] for model in models] == [
        "in full: there is no earlier model to go on from",
        f"continued from {THURSDAY} (1 days since the full fit)",
        f"continued from {FRIDAY} (2 days since the full fit)",
    ]


def test_a_chain_ends_near_a_full_fit(week: Deployment, tmp_path: Path) -> None:
    """Tolerance: NDCG@10 on the validation and test rows that no model of the chain knew, .05 at some 100 users."""
    full = Deployment(tmp_path)
    anew = AlsModel.load(fit(full, SATURDAY).path)
    chained = AlsModel.load(week.artifacts(SATURDAY)["models/als"].path)
    folds = [Fold.load(week.artifacts(day)["folds/prequential"].path) for day in (THURSDAY, FRIDAY, SATURDAY)]
    known = folds[2].train_and_validation
    before = [fold.train_and_validation for fold in folds[:2]]
    gap = compare_rankings(anew, chained, known, folds[2].test, before, seed=0, n_resamples=200)
    assert gap.full > 0.02
    assert abs(gap.difference.value) < 0.05
    users = np.unique(known.user)
    assert np.abs(chained.user_vectors()[users, :-2]).sum(axis=1).min() > 0, "new users too"


def test_a_continued_day_is_made_again_to_the_same_digest_here_and_elsewhere(week: Deployment) -> None:
    before = week.artifacts(SATURDAY)["models/als"].manifest
    told = week.recsys("reproduce", f"models/als@{SATURDAY}")
    assert told.code == 0, told.text
    assert f"same: {before.digest}" in told.text
    assert "warning" not in told.text
    assert fit(week, SATURDAY).manifest == before


def test_days_out_of_order_know_nothing_of_later_ones_and_run_again_become_the_chain(
    week: Deployment, deployment: Deployment
) -> None:
    expected = {day: week.artifacts(day)["models/als"].manifest.digest for day in (THURSDAY, FRIDAY, SATURDAY)}
    assert starts(fit(deployment, SATURDAY)) == []
    assert starts(fit(deployment, THURSDAY)) == [], "Saturday's model knows what is to come"
    assert deployment.digests(THURSDAY)["models/als"] == expected[THURSDAY]
    for day in (FRIDAY, SATURDAY):
        fit(deployment, day)
    assert {day: deployment.digests(day)["models/als"] for day in expected} == expected


def test_another_size_or_a_refit_by_hand_is_a_full_fit(deployment: Deployment) -> None:
    fit(deployment, THURSDAY)
    other = fit(deployment, FRIDAY, embedding_size=5)
    assert other.manifest.metrics["fit"] == f"in full: since {THURSDAY} settings have changed: embedding_size"
    by_hand = fit(deployment, FRIDAY, refit="always")
    assert (starts(by_hand), by_hand.manifest.metrics["full_fit_day"]) == ([], FRIDAY)
    assert starts(fit(deployment, FRIDAY)) == [THURSDAY]


def parity(deployment: Deployment, day: str, **fields: object) -> Sequence[str]:
    """Fit the day and compare; the problem, if the run failed."""
    made = deployment.materialize(
        *ALS, *LOOKS, "reports/parity", day=day, models__als={**SMALL, **fields}, models__stl=SMALL_LOOKS,
        dataset__looks={"image_size": 16}, reports__parity={"max_gap": 0.02, "n_resamples": 100},
    )  # fmt: skip
    return [] if made.success else [failure(made)]


def test_a_gap_that_is_too_large_fails_the_run_by_name_and_the_next_day_is_fitted_in_full(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parity(deployment, SATURDAY) == []
    first = deployment.artifacts(SATURDAY)["reports/parity"].manifest
    assert first.metrics["compared"] == "nothing: no full fit today"

    def forgetful(train: Ratings, config: AlsConfig, seed: int) -> AlsModel:
        """A continued fit that learned from nothing but the first rows."""
        return als.fit(train.take(np.arange(20)), config, seed)

    from recsys_pipeline.defs import models

    honest = models.fit_of
    with monkeypatch.context() as patched:
        patched.setattr(
            "recsys_pipeline.defs.reports.parity.fit_of",
            lambda spec, start: forgetful if spec.name == "als" else honest(spec, start),
        )
        (problem,) = parity(deployment, SUNDAY)
    assert f"als of {SUNDAY}, continued for 1 days, is 0." in problem
    assert "behind a full fit in NDCG@10: more than max_gap = 0.02" in problem
    stored = deployment.artifacts(SUNDAY)["reports/parity"]
    assert stored.manifest.metrics["behind"] == "als"
    assert {"folds/prequential", "models/als"} <= {
        ref.key for ref in stored.manifest.recipe.inputs if ref.partition == SATURDAY
    }

    assert parity(deployment, MONDAY) == []
    monday = deployment.artifacts(MONDAY)
    assert starts(monday["models/als"]) == []
    assert "the continued model fell behind a full fit" in monday["models/als"].manifest.metrics["fit"]
    assert starts(monday["models/stl"]) == [SUNDAY]
    assert monday["reports/parity"].manifest.metrics["compared"] == "als"
    assert starts(fit(deployment, "2026-01-13")) == [MONDAY]
