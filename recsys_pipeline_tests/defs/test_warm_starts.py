"""Which earlier model a day goes on from, and when it is fitted in full instead."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.adapters.serving.releases import DECISION
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.core.models import discover
from recsys_pipeline.defs.asset import declared
from recsys_pipeline.defs.warm_starts import (
    BEHIND,
    PARITY,
    WEEKDAYS,
    FitPlan,
    chain,
    data_settings,
    full_fit_is_due,
    plan_fit,
)

ALS = discover()["als"]
CONFIG: dict[str, Any] = {"embedding_size": 7, "widths": (4, 8), "refit": "sunday", "max_gap_days": 3}
THURSDAY, FRIDAY, SATURDAY, SUNDAY, MONDAY = (f"2026-01-{day:02d}" for day in range(8, 13))

Keep = Callable[..., Artifact]


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache")


@pytest.fixture
def keep(store: ArtifactStore) -> Keep:
    """Stores an artifact without files that matter."""

    def commit(
        key: str, day: str, inputs: tuple[Artifact, ...] = (), config: dict[str, Any] | None = None, code: str = "",
        **metrics: Any,
    ) -> Artifact:  # fmt: skip
        refs = tuple(artifact.manifest.ref for artifact in inputs)
        recipe = Recipe(key, day, refs, config or {}, code or declared(key).code_version, {})

        def build(directory: Path) -> Built:
            (directory / "name").write_text(f"{key} {day} {metrics}")
            return Built(metrics)

        return store.build(recipe, build)

    return commit


def model(keep: Keep, fold: Artifact, day: str, full: str, start: Artifact | None = None, **more: Any) -> Artifact:
    inputs = (fold, *([start] if start else []))
    facts = {"full_fit_day": full, "data_settings": data_settings([fold])}
    return keep("models/als", day, inputs, **{"config": CONFIG, **more}, **facts)


@pytest.fixture
def fold(keep: Keep) -> Artifact:
    return keep("folds/prequential", FRIDAY, config={"test_share": 0.1})


def plan(store: ArtifactStore, fold: Artifact, day: str = FRIDAY, **config: Any) -> FitPlan:
    return plan_fit(store, ALS, day, [fold], {**CONFIG, **config})


def test_the_first_day_is_fitted_in_full(store: ArtifactStore, fold: Artifact) -> None:
    found = plan(store, fold)
    assert found.start is None
    assert found.facts(FRIDAY)["fit"] == "in full: there is no earlier model to go on from"
    assert found.facts(FRIDAY)["full_fit_day"] == FRIDAY


def test_a_day_goes_on_from_the_newest_earlier_model_and_never_from_a_later_one(
    store: ArtifactStore, keep: Keep, fold: Artifact
) -> None:
    yesterday = model(keep, fold, THURSDAY, full="2026-01-05")
    model(keep, fold, SATURDAY, full=SATURDAY)
    found = plan(store, fold)
    assert found.start is not None
    assert found.start.manifest.ref == yesterday.manifest.ref
    assert found.facts(FRIDAY) == {
        "fit": f"continued from {THURSDAY} (4 days since the full fit)", "full_fit_day": "2026-01-05"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"embedding_size": 8}, "since 2026-01-08 settings have changed: embedding_size"),
        ({"widths": [4, 16], "reg": 1.0}, "settings have changed: reg, widths"),
        ({"refit": "always"}, "it was asked for"),
        ({"refit": "friday"}, "that of friday, 2026-01-09, is due"),
    ],
)
def test_other_settings_and_a_refit_that_is_due_mean_a_full_fit(
    store: ArtifactStore, keep: Keep, fold: Artifact, change: dict[str, Any], reason: str
) -> None:
    model(keep, fold, THURSDAY, full=THURSDAY)
    assert plan(store, fold).start is not None, "the fields of the refit itself and lists for tuples change nothing"
    assert plan(store, fold, refit="never", widths=[4, 8]).start is not None
    found = plan(store, fold, **change)
    assert found.start is None
    assert reason in found.reason


def test_other_data_settings_other_code_and_a_gap_mean_a_full_fit(
    store: ArtifactStore, keep: Keep, fold: Artifact
) -> None:
    model(keep, fold, THURSDAY, full=THURSDAY)
    other = keep("folds/prequential", FRIDAY, config={"test_share": 0.2})
    assert "the settings of the data have changed" in plan(store, other).reason
    assert plan(store, fold, day=SUNDAY, refit="never").start is not None, "three days are near enough"
    assert f"is of {THURSDAY}, 4 days before" in plan(store, fold, day=MONDAY, refit="never").reason
    model(keep, fold, THURSDAY, full=THURSDAY, code="of another time")
    assert "the code has changed" in plan(store, fold).reason


def test_what_the_gate_rejected_is_no_start(store: ArtifactStore, keep: Keep, fold: Artifact) -> None:
    model(keep, fold, THURSDAY, full=THURSDAY)
    keep(DECISION, THURSDAY, promoted=False)
    assert plan(store, fold).earlier is None


def test_after_a_continued_model_fell_behind_the_next_day_is_fitted_in_full(
    store: ArtifactStore, keep: Keep, fold: Artifact
) -> None:
    model(keep, fold, THURSDAY, full=THURSDAY)
    keep(PARITY, THURSDAY, **{BEHIND: "als stl"})
    found = plan(store, fold)
    assert found.start is None
    assert found.earlier is not None, "it is compared again"
    assert "on 2026-01-08 the continued model fell behind" in found.reason
    keep(PARITY, FRIDAY, **{BEHIND: "stl"})
    assert plan(store, fold, day=SATURDAY).start is not None


def test_the_chain_ends_at_the_full_fit_and_goes_by_the_versions_that_were_read(
    store: ArtifactStore, keep: Keep, fold: Artifact
) -> None:
    first = model(keep, fold, THURSDAY, full=THURSDAY)
    second = model(keep, fold, FRIDAY, THURSDAY, first)
    third = model(keep, fold, SATURDAY, THURSDAY, second)
    assert [one.manifest.recipe.partition for one in chain(store, third)] == [SATURDAY, FRIDAY, THURSDAY]
    again = model(keep, fold, FRIDAY, full=FRIDAY)
    assert list(chain(store, third)) == [third, second, first], "Friday's model was made again since"
    assert list(chain(store, again)) == [again]


@given(full=st.dates(date(2026, 1, 1), date(2026, 3, 1)), after=st.integers(1, 30), weekday=st.sampled_from(WEEKDAYS))
def test_a_refit_is_due_from_the_first_such_weekday_after_the_full_fit_until_it_is_made(
    full: date, after: int, weekday: str
) -> None:
    """The twin walks day by day; so a weekday that was missed is made up for."""
    passed = [full + timedelta(days=n) for n in range(1, after + 1)]
    expected = any(WEEKDAYS[day.weekday()] == weekday for day in passed)
    assert bool(full_fit_is_due(full.isoformat(), (full + timedelta(days=after)).isoformat(), weekday)) == expected
