"""Days that run in any order, and again in order, come to what they would have come to in order."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.adapters.serving.releases import (
    DECISION,
    RELEASE,
    champion,
    decision_of,
    history,
    promote_if_newer,
)
from recsys_pipeline.adapters.store import artifact_store as store_module
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.store.deletion import delete
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.adapters.store.retention import collect
from recsys_pipeline.core.errors import UnknownPastError
from recsys_pipeline.core.keys import ArtifactRef
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.serving.gate import Decision
from recsys_pipeline.core.serving.gate_limits import GateLimits
from recsys_pipeline.defs.asset import declared
from recsys_pipeline.defs.serving import best_decision, decision_on
from recsys_pipeline.defs.warm_starts import data_settings, plan_fit, remembered
from recsys_pipeline_tests.adapters.release_artifacts import decided, released

ALS = discover()["als"]
CONFIG: dict[str, Any] = {"embedding_size": 7, "refit": "never", "max_gap_days": 30}
DAYS = [f"2026-01-{day:02d}" for day in range(5, 10)]
KEYS = ("models/als", RELEASE, DECISION)


class Shop:
    """A store whose days cost nothing: each artifact's content says only what it was made from."""

    def __init__(self, folder: Path, rejected: str = "") -> None:
        self.store = ArtifactStore(str(folder / "store"), cache=folder / "cache")
        self.rejected = rejected
        """The day that the gate rejects."""

    def write(self, key: str, day: str, inputs: tuple[ArtifactRef, ...], text: str, **metrics: Any) -> Artifact:
        made = Recipe(key, day, inputs, CONFIG, declared(key).code_version, {})
        existing = self.store.reusable(made)

        def build(directory: Path) -> Built:
            (directory / "text").write_text(text)
            return Built(metrics)

        return existing or self.store.build(made, build)

    def run(self, day: str) -> str:
        """What a batch does of all this, in the order of its assets; what became of the release."""
        fold = self.write("folds/prequential", day, (), f"rows of {day}")
        plan = plan_fit(self.store, ALS, day, [fold], CONFIG)
        refs = (fold.manifest.ref, *([plan.start.manifest.ref] if plan.start else []))
        facts = {**plan.facts(day), "data_settings": data_settings([fold])}
        model = self.write(
            "models/als", day, refs, json.dumps([day, plan.start and plan.start.manifest.digest]), **facts
        )
        release = released(self.store, day, model.manifest.digest, (model.manifest.ref,))
        before = champion(self.store, before=day)
        best = best_decision(self.store, day, GateLimits().decay_days)
        earlier = decision_on(self.store, before) if before else None
        compared = tuple(one.manifest.ref for one in (before, earlier, best) if one)
        made = decided(self.store, release, good=day != self.rejected, inputs=compared)
        return promote_if_newer(self.store, release, made)

    def digests(self) -> dict[str, str]:
        return {f"{key}@{day}": self.store.get(key, day).manifest.recipe.digest() for key in KEYS for day in DAYS}


def run(shop: Shop, order: list[str]) -> Shop:
    for day in order:
        shop.run(day)
    return shop


@settings(max_examples=5, deadline=None)
@given(order=st.permutations(DAYS), rejected=st.sampled_from(["", *DAYS]))
def test_out_of_order_and_then_in_order_is_in_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], rejected: str
) -> None:
    """Recipes name their inputs with digests, so equal ones mean equal models, champions, decisions and best days."""
    folder = tmp_path_factory.mktemp("shops")
    orderly = run(Shop(folder / "orderly", rejected), DAYS)
    mixed = run(Shop(folder / "mixed", rejected), [*order, *DAYS])
    assert mixed.digests() == orderly.digests()
    assert champion(mixed.store) is not None
    assert champion(mixed.store).manifest.ref == champion(orderly.store).manifest.ref  # pyright: ignore[reportOptionalMemberAccess]


def test_a_backfilled_day_goes_on_from_the_day_before_it_and_is_compared_with_it(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    assert shop.run(DAYS[4]) == "promoted"
    assert f"stands in for {DAYS[0]}" in shop.run(DAYS[0])
    shop.run(DAYS[1])
    model = shop.store.get("models/als", DAYS[1]).manifest
    assert model.metrics["fit"] == f"continued from {DAYS[0]} (1 days since the full fit)"
    assert champion(shop.store, before=DAYS[1]) == shop.store.get(RELEASE, DAYS[0])
    assert champion(shop.store) == shop.store.get(RELEASE, DAYS[4]), "nothing of it is served"
    assert [move.serves for move in history(shop.store)] == [True, False, False]


def test_a_rejected_day_stands_in_for_nothing_and_the_reason_is_true(tmp_path: Path) -> None:
    shop = Shop(tmp_path, rejected=DAYS[0])
    shop.run(DAYS[0])
    shop.run(DAYS[1])
    told = shop.store.get("models/als", DAYS[1]).manifest.metrics["fit"]
    assert told == f"in full: no release of an earlier day stands; {DAYS[0]} was not promoted"


def seen(shop: Shop, day: str) -> list[str]:
    return [one.manifest.ref.partition for one in remembered(shop.store, shop.store.get("models/als", day))]


def test_what_a_model_learned_of_is_known_after_an_earlier_day_is_made_again(tmp_path: Path) -> None:
    shop = run(Shop(tmp_path), DAYS)
    before = seen(shop, DAYS[4])
    assert before == [day for day in reversed(DAYS[:4]) for _ in ("model", "fold")]
    shop.write("models/als", DAYS[2], (), "another model of that day", full_fit_day=DAYS[2], data_settings="")
    assert seen(shop, DAYS[4]) == before


def test_what_a_model_learned_of_is_known_after_a_collection(tmp_path: Path) -> None:
    shop = run(Shop(tmp_path), DAYS)
    before, decision = seen(shop, DAYS[4]), shop.store.get(DECISION, DAYS[0]).path
    doomed = collect(shop.store, keep_days=1, now=datetime.now(UTC) + timedelta(days=9)).doomed
    delete(shop.store, doomed)
    assert seen(shop, DAYS[4]) == before
    assert doomed, "releases of old days go"
    assert decision.is_dir(), "the gate goes by the best of four weeks"


def test_a_model_whose_chain_is_broken_is_not_judged_and_not_gone_on_from(tmp_path: Path) -> None:
    shop = run(Shop(tmp_path), DAYS[:3])
    shutil.rmtree(shop.store.get("models/als", DAYS[0]).path)
    with pytest.raises(UnknownPastError, match=rf"models/als@{DAYS[1]} was made from models/als@{DAYS[0]} .* is gone"):
        seen(shop, DAYS[2])
    shop.run(DAYS[3])
    told = shop.store.get("models/als", DAYS[3]).manifest.metrics["fit"]
    assert told.startswith(f"in full: models/als@{DAYS[1]} was made from models/als@{DAYS[0]}")
    assert seen(shop, DAYS[3]) == []


def test_a_clock_that_was_set_back_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(tmp_path)

    class Earlier(store_module.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return store_module.datetime(2020, 1, 1, tzinfo=tz)

    release = released(shop.store, DAYS[0], "first")
    other = released(shop.store, DAYS[0], "other")
    rejected = decided(shop.store, release, good=False)
    assert not rejected.promoted
    monkeypatch.setattr(store_module, "datetime", Earlier)
    assert promote_if_newer(shop.store, release, decided(shop.store, release)) == "promoted"
    decided(shop.store, other)  # the day's current decision is about another making
    found = decision_of(shop.store, DAYS[0], release.manifest.digest)
    assert found is not None
    assert Decision.load(found.path).promoted, "that by which it was promoted, though it looks older"
