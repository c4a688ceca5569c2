"""What a model has in use: the deployment's settings, and over them what the newest sweep that found anything found."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recsys_pipeline.adapters.store.artifact_store import ArtifactStore, Built
from recsys_pipeline.adapters.store.deletion import delete
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.adapters.store.retention import FOUND, collect
from recsys_pipeline.core.models import discover
from recsys_pipeline.defs.deployed_settings import FORMS
from recsys_pipeline.defs.learning.in_use import (
    BASELINE,
    BEST_CONFIG,
    DEPLOYED,
    FIELD,
    IN_USE,
    TAKEN_TRIAL,
    InUse,
    found_by,
    given_baseline,
    in_use_before,
    settings_in_use,
    tuned_config,
)

SPEC = discover()["ease"]
DAYS = [f"2026-01-{day:02}" for day in range(1, 8)]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
    """An empty one, in a deployment without a form for the model."""
    monkeypatch.delitem(FORMS, "models/ease", raising=False)
    return ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache")


def sweep(
    store: ArtifactStore, day: str, reg: float | None, form: Mapping[str, Any] | None = None,
    baseline: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """A sweep of a day as its asset makes one: it finds `reg`, or nothing."""
    form = dict(form or {"file": "ease.yaml"})
    in_use = given_baseline(SPEC, baseline) if baseline else in_use_before(store, SPEC, day, form)
    chosen = {**asdict(in_use.config), **({} if reg is None else {"reg": reg})}
    found = found_by(in_use, {"reg": reg}, is_taken=reg is not None)
    metrics = {TAKEN_TRIAL: 0 if reg is None else 3, BEST_CONFIG: chosen, FOUND: found, IN_USE: in_use.facts()}
    recipe = Recipe("learning/ease_sweep", day, (), {**form, BASELINE: asdict(in_use.config)}, "code", {})

    def write(directory: Path) -> Built:
        (directory / "trials").write_text(f"{day} {form} {reg}")
        return Built(metrics)

    store.build(recipe, write)


def in_use(store: ArtifactStore, day: str) -> tuple[float, str]:
    found = settings_in_use(store, SPEC, day)
    return found.config.reg, found.origin


def test_without_a_sweep_the_deployment_has_its_say(store: ArtifactStore) -> None:
    assert tuned_config(store, SPEC, DAYS[3]) is None
    assert in_use(store, DAYS[3]) == (500.0, DEPLOYED)


def test_what_was_found_holds_from_its_day_on_and_names_its_trial(store: ArtifactStore) -> None:
    sweep(store, DAYS[2], 20.0)
    tuned = tuned_config(store, SPEC, DAYS[4])
    assert tuned is not None
    assert (tuned.found, tuned.trial) == ({"reg": 20.0}, 3)
    assert tuned.sweep.manifest.recipe.partition == DAYS[2]
    assert in_use(store, DAYS[2]) == (20.0, f"trial 3 of learning/ease_sweep@{DAYS[2]}")
    assert in_use(store, DAYS[1]) == (500.0, DEPLOYED), "never what a later day found"


def test_a_sweep_that_found_nothing_hands_on_what_one_before_it_found(store: ArtifactStore) -> None:
    sweep(store, DAYS[1], 20.0)
    sweep(store, DAYS[3], None)
    tuned = tuned_config(store, SPEC, DAYS[3])
    assert tuned is not None
    assert (tuned.found, tuned.trial) == ({"reg": 20.0}, 0)
    assert tuned.origin == f"trial 3 of learning/ease_sweep@{DAYS[1]}"


def test_a_sweep_that_found_nothing_better_than_the_deployment_leaves_it_its_say(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep(store, DAYS[1], None)
    assert tuned_config(store, SPEC, DAYS[3]) is None
    values = {**asdict(SPEC.config()), "reg": 77.0, "use_sweep": True}
    monkeypatch.setitem(FORMS, "models/ease", _Deployed(values))
    assert in_use(store, DAYS[3]) == (77.0, DEPLOYED), "also where that changes later"
    sweep(store, DAYS[4], 20.0)
    assert in_use(store, DAYS[4])[0] == 20.0
    monkeypatch.setitem(FORMS, "models/ease", _Deployed({**values, "use_sweep": False}))
    assert in_use(store, DAYS[4]) == (77.0, DEPLOYED)


class _Deployed:
    """As much of a deployed form as is asked."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values


def test_the_same_sweep_again_is_compared_with_the_same_and_another_with_the_winner(store: ArtifactStore) -> None:
    sweep(store, DAYS[1], 20.0)
    sweep(store, DAYS[3], 30.0, {"file": "a.yaml"})
    assert in_use_before(store, SPEC, DAYS[3], {"file": "a.yaml"}).config.reg == 20.0
    sweep(store, DAYS[3], 40.0, {"file": "b.yaml"})
    again = in_use_before(store, SPEC, DAYS[3], {"file": "b.yaml"})
    assert (again.config.reg, again.origin) == (30.0, f"trial 3 of learning/ease_sweep@{DAYS[3]}")
    assert in_use_before(store, SPEC, DAYS[3], {"file": "c.yaml"}).config.reg == 40.0


def test_settings_that_were_given_by_hand_are_handed_on_by_a_winner_only(store: ArtifactStore) -> None:
    sweep(store, DAYS[1], None, baseline={"max_items": 50})
    assert tuned_config(store, SPEC, DAYS[2]) is None
    sweep(store, DAYS[3], 30.0, baseline={"max_items": 50})
    assert settings_in_use(store, SPEC, DAYS[4]).config == SPEC.config(reg=30.0, max_items=50)
    assert in_use_before(store, SPEC, DAYS[3], {"file": "ease.yaml"}).config.reg == 30.0
    assert found_by(InUse(SPEC.config(), FIELD, {"max_items": 50}), {"reg": 1.0}, is_taken=False) == {}


def test_what_models_take_is_not_collected(store: ArtifactStore) -> None:
    """Nor where later sweeps found nothing and are newer."""
    sweep(store, DAYS[0], 10.0)
    sweep(store, DAYS[1], 20.0)
    sweep(store, DAYS[2], None, baseline={"max_items": 50})
    sweep(store, DAYS[6], None, baseline={"max_items": 50})
    later = datetime.now(UTC) + timedelta(days=3)
    found = collect(store, keep_days=2, now=later)
    assert sorted(one.place.partition for one in found.doomed) == [DAYS[0], DAYS[2]]
    assert delete(store, found.doomed) == 2
    assert in_use(store, DAYS[6])[0] == 20.0
