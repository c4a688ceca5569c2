"""Releases through the real assets and commands: the first day is served, a poisoned one is not, and people go back."""

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pyarrow as pa
import pytest

from recsys_pipeline.adapters.serving.releases import champion, history
from recsys_pipeline.core.serving import gate_figures
from recsys_pipeline.core.serving.gate import Decision
from recsys_pipeline.core.serving.recommend import recommend
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.deployment import DAY, NEXT_DAY, TINY_MODELS, Deployment
from recsys_pipeline_tests.misbehaving_sources import Planting, event

OF_THE_DAY = (
    "dataset/interactions", "dataset/items", "dataset/snapshot", "folds/prequential", "models/als", "models/popularity",
    "models/cold_start", "neighbors/als_vectors", "reports/drift", "serving/release", "serving/decision",
    "serving/champion",
)  # fmt: skip
BOT = "bot"
MORNING = datetime.combine(date.fromisoformat(NEXT_DAY), datetime.min.time(), UTC) + timedelta(hours=9)


class Poisoned(Planting):
    """On the second day a bot rates 600 times, always 5: every item again and again."""

    extra = tuple(
        event(
            MORNING + timedelta(seconds=number), user_id=BOT, item_id=f"p{number % 100:06d}", event="rating", value=5.0
        )
        for number in range(600)
    )

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        is_poisoned = window.start <= MORNING < window.end
        return super().interactions(window) if is_poisoned else self.source.interactions(window)


@pytest.fixture(scope="module")
def deployment(first_day: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The first day's deployment in a copy, whose source is poisoned on the second day."""
    home = tmp_path_factory.mktemp("releases") / "home"
    shutil.copytree(first_day.home / "data" / "store", home / "data" / "store")
    return Deployment(home, wrap=Poisoned)


def configured() -> dict[str, dict[str, Any]]:
    """The tiny models' fields, by op."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in TINY_MODELS.items():
        key, _, field = name.rpartition(".")
        if key in OF_THE_DAY:
            found.setdefault(key.replace("/", "__"), {})[field] = value
    return found


@pytest.fixture(scope="module")
def poisoned_day(deployment: Deployment) -> dg.ExecuteInProcessResult:
    """The second day up to the pointer; photographs and their towers are taken from the first, to save time."""
    store = deployment.store
    for key in ("models/stl", "neighbors/stl_vectors", "dataset/looks", "folds/triplets"):
        folder = Path(store.root) / key
        shutil.copytree(folder / DAY, folder / NEXT_DAY)
    return deployment.materialize(*OF_THE_DAY, day=NEXT_DAY, **configured())


def served(deployment: Deployment) -> str | None:
    found = champion(deployment.store)
    return found and found.manifest.recipe.partition


def test_the_first_day_is_released_decided_on_and_served(first_day: Deployment) -> None:
    assert served(first_day) == DAY
    artifacts = first_day.artifacts(DAY)
    made = Decision.load(artifacts["serving/decision"].path)
    assert made.promoted
    assert made.champion == ""
    release = Release.load(artifacts["serving/release"].path)
    assert release.day == DAY
    assert release.towers is not None
    assert release.cold_start is not None
    assert (
        len(release.histories)
        == release.histories.fitted.sum() + artifacts["folds/prequential"].manifest.metrics["test_rows"]
    )
    lists = recommend(release, None, release.users.all_ids().to_pylist()[:20], 10)
    assert (lists.item_ids != "").all()


def test_a_poisoned_day_is_stopped(deployment: Deployment, poisoned_day: dg.ExecuteInProcessResult) -> None:
    assert not poisoned_day.success
    checks = {found.check_name: found for found in poisoned_day.get_asset_check_evaluations()}
    assert not checks["no_user_dominates"].passed
    assert checks["no_user_dominates"].blocking
    assert "one user has" in str(checks["no_user_dominates"].metadata["in words"].value)
    ran = {one.step_key for one in poisoned_day.all_events if one.is_step_start}
    assert "serving__champion" not in ran, "what is downstream of a blocking check does not start"
    assert served(deployment) == DAY
    assert "serving/release" in deployment.artifacts(NEXT_DAY), "the release is there to be looked at"


@pytest.mark.usefixtures("poisoned_day")
def test_people_see_why_and_may_overrule_and_go_back(deployment: Deployment) -> None:
    listed = deployment.recsys("release", "list")
    assert listed.code == 0, listed.text
    assert f"champion {DAY}" in listed.text
    digest = deployment.digests(NEXT_DAY)["serving/release"][:12]
    assert f"{NEXT_DAY} {digest} rejected never" in listed.text
    assert "experiment" in listed.text, "the tiny models are not what the deployment sets"
    shown = deployment.recsys("release", "show", NEXT_DAY)
    assert "✗ no user dominates: one user has" in shown.text
    refused = deployment.recsys("release", "promote", NEXT_DAY)
    assert refused.code == 1
    assert "was not promoted: " in refused.text
    assert served(deployment) == DAY
    forced = deployment.recsys("release", "promote", NEXT_DAY, "--force", "--why", "the bot is us")
    assert "promoted 2026-01-13" in forced.text
    assert "by hand against the gate (the bot is us)" in forced.text
    assert served(deployment) == NEXT_DAY
    back = deployment.recsys("release", "rollback", "--why", "it was not us")
    assert f"rolled back to {DAY}" in back.text
    assert served(deployment) == DAY
    assert [(move.action, move.day, move.forced) for move in history(deployment.store)] == [
        ("promote", DAY, False), ("promote", NEXT_DAY, True), ("rollback", DAY, False),
    ]  # fmt: skip
    listed = deployment.recsys("release", "list").text
    assert "withdrawn" in listed
    assert "forced" in listed, "it was served against the gate"
    assert "2×, last" in listed


@pytest.mark.usefixtures("poisoned_day")
def test_two_releases_are_compared(deployment: Deployment) -> None:
    found = deployment.recsys("release", "diff", DAY, NEXT_DAY)
    assert found.code == 0, found.text
    for shown in ("gate passed rejected", "users ", "lists: ", "sampled users see another list"):
        assert shown in found.text


@pytest.mark.usefixtures("poisoned_day")
def test_the_job_does_it_by_hand(deployment: Deployment) -> None:
    from recsys_pipeline.defs.releasing import release_by_hand
    from recsys_pipeline.defs.resources import RESOURCES

    resources = {name: RESOURCES[name] for name in ("store", "tracker")}
    config = {"action": "promote", "day": NEXT_DAY, "why": "a drill", "force": True}
    with deployment.active(), dg.DagsterInstance.ephemeral() as instance:
        for form in (config, {"action": "rollback", "why": "the drill is over"}):
            result = release_by_hand.execute_in_process(
                {"ops": {"move_champion": {"config": form}}}, instance=instance, resources=resources
            )
            assert result.success
    assert [move.why for move in history(deployment.store)][-2:] == ["a drill", "the drill is over"]
    assert served(deployment) == DAY


def test_a_busy_machine_rejects_nothing_for_good(first_day: Deployment, tmp_path: Path) -> None:
    """The stopwatch reads 105 ms while something else runs; the next run measures anew."""
    shutil.copytree(first_day.home / "data" / "store", tmp_path / "data" / "store")
    deployment = Deployment(tmp_path)
    for decided in ("champion.json", "decision"):
        path = Path(deployment.store.root) / "serving" / decided
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    decide = partial(deployment.materialize, "serving/decision", "serving/champion")
    with mock.patch.object(gate_figures, "latency_p99_ms", return_value=105.0):
        busy = decide()
    failed = [found.check_name for found in busy.get_asset_check_evaluations() if not found.passed]
    assert failed == ["lists_are_fast"]
    assert served(deployment) is None
    assert decide().success
    assert served(deployment) == DAY
    digest = deployment.digests(DAY)["serving/decision"]
    assert digest == first_day.digests(DAY)["serving/decision"], "how fast lists were is no part of it"
    with mock.patch.object(gate_figures, "latency_p99_ms", side_effect=AssertionError):
        assert decide().success, "a decision that passed is up to date"


def test_a_decision_is_made_again_as_it_was(first_day: Deployment) -> None:
    outcome = first_day.recsys("reproduce", f"serving/decision@{DAY}")
    assert outcome.code == 0, outcome.text
    assert "same: " in outcome.text


def test_a_collection_tells_and_then_deletes(deployment: Deployment) -> None:
    dry = deployment.recsys("gc", "--dry-run", "--keep-days", "1")
    assert dry.code == 0, dry.text
    assert "0 versions would go" in dry.text, "all of it was just made"
    assert "served, or to go back to" in dry.text
    assert deployment.recsys("gc", "--keep-days", "0").code == 1


def test_a_decision_says_its_figures(first_day: Deployment) -> None:
    metrics = first_day.artifacts(DAY)["serving/decision"].manifest.metrics
    assert metrics["promoted"] is True
    assert metrics["failed"] == []
    assert metrics["latency_p99_ms"] > 0
    assert json.dumps(metrics)
