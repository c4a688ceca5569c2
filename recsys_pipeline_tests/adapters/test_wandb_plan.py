"""What is sent and in which order: by what was used, never by clocks."""

import dataclasses
import random
from pathlib import Path

import pytest

from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.wandb.outbox import FINISHED, Entry, RunFacts, Stored
from recsys_pipeline.adapters.wandb.plan import Plan, entry_of_manifest, unsent_entries
from recsys_pipeline_tests.adapters.mirror_fixtures import CHAIN, DAY, SOURCE, Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, "p")


def entry(name: str, *inputs: str, opened_at: str = "") -> Entry:
    uses = tuple(Stored(SOURCE, key, DAY, key) for key in inputs)
    facts = RunFacts(id=name, name=name, job_type="t", project="p", config={}, inputs=uses, opened_at=opened_at)
    made = dataclasses.asdict(Stored(SOURCE, name, DAY, name, "v"))
    return Entry(facts, ({"output": made}, {"ended": FINISHED}))


def names(plan: Plan, roots: list[Entry]) -> list[str]:
    return [one.facts.name for one in plan.in_order(roots)]


def nowhere(_: str) -> ArtifactStore:
    raise AssertionError("no store is needed where the outbox has everything")


def test_inputs_come_first_whatever_the_clocks_say() -> None:
    entries = [
        entry("a", opened_at="2026-01-03"), entry("b", "a", opened_at="2026-01-02"),
        entry("c", "b", "a", opened_at="2026-01-01"),
    ]  # fmt: skip
    for seed in range(6):
        shuffled = random.Random(seed).sample(entries, 3)
        assert names(Plan(shuffled, (), nowhere), shuffled) == ["a", "b", "c"]


def test_what_a_server_has_is_not_sent_again() -> None:
    one, two = entry("a"), entry("b", "a")
    assert names(Plan([one, two], {output.content for output in one.outputs}, nowhere), [two]) == ["b"]


def test_a_chain_of_years_of_days_needs_no_recursion() -> None:
    entries = [entry("0"), *(entry(str(day), str(day - 1)) for day in range(1, 3000))]
    assert names(Plan(entries, (), nowhere), entries[::-1]) == [str(day) for day in range(3000)]


def test_a_ring_ends() -> None:
    entries = [entry("a", "b"), entry("b", "a")]
    assert sorted(names(Plan(entries, (), nowhere), entries)) == ["a", "b"]


def test_manifests_stand_in_for_entries_that_were_lost(home: Home) -> None:
    made = home.make_chain(tracked=False)
    tracked = home.make("serving/release", made["reports/daily"])
    (ready,) = home.outbox.ready()
    plan = Plan([ready], (), home.stores)
    assert names(plan, [ready]) == [f"{key}@{DAY}" for key in (*CHAIN, "serving/release")]
    assert Stored.of(tracked) in ready.outputs


def test_an_input_that_nobody_has_is_absent(home: Home) -> None:
    made = home.make("models/als", tracked=False)
    home.make("reports/ranking", made)
    (made.path / "manifest.json").unlink()
    (ready,) = home.outbox.ready()
    plan = Plan([ready], (), home.stores)
    assert names(plan, [ready]) == [f"reports/ranking@{DAY}"]
    assert plan.is_absent(ready.facts.inputs[0], ready)


def test_a_manifest_leads_to_the_run_that_made_it(home: Home) -> None:
    """So that a run which was tracked and one that is made up from what it left are one run in W&B."""
    artifact = home.make("models/als", config={"reg": 0.1, "widths": (1, 2)})
    (tracked,) = home.outbox.ready()
    made_up = entry_of_manifest(SOURCE, artifact.path.name, artifact.manifest, "p")
    same = dataclasses.replace(made_up.facts, process=tracked.facts.process, opened_at=tracked.facts.opened_at)
    assert same.id == tracked.facts.id
    assert same.inputs == tracked.facts.inputs
    assert made_up.outputs == tracked.outputs
    assert made_up.events[0] == {
        "metrics": {"ndcg": 0.5, "rows": 3, "undefined": pytest.approx(float("nan"), nan_ok=True)}
    }


def test_every_version_of_a_store_is_covered_once(home: Home) -> None:
    made = home.make_chain(tracked=False)
    home.make("models/als", made["folds/prequential"], tracked=False, content="other", config={"reg": 2})
    entries = unsent_entries(home.store, SOURCE, "p", set())
    outputs = [output for one in entries for output in one.outputs]
    assert len(outputs) == len(set(outputs)) == 7
    assert unsent_entries(home.store, SOURCE, "p", set(outputs)) == []
