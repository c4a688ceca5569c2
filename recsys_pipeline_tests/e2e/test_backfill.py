"""Backfills: days in order, on past a day that fails, which can be run later as if it had never failed."""

import re
import socket
from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
import yaml

from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import Window
from recsys_pipeline.definitions import defs
from recsys_pipeline.defs.history import state_of, use_history
from recsys_pipeline.defs.instance import PROCESS
from recsys_pipeline.defs.jobs import IN_ORDER
from recsys_pipeline.defs.making import HEAVY, TRAINING
from recsys_pipeline.defs.resources import RESOURCES
from recsys_pipeline_tests.deployment import Deployment
from recsys_pipeline_tests.misbehaving_sources import Misbehaving

ROOT = Path(__file__).parents[2]
CHAIN = ("dataset/interactions", "dataset/snapshot", "folds/prequential", "models/popularity")
DAYS = ("2026-01-03", "2026-01-04", "2026-01-05", "2026-01-06")
BAD = DAYS[1]
Recsys = Callable[..., object]


class Torn(Misbehaving):
    """One day cannot be read."""

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        if date.fromisoformat(BAD) in window.days():
            raise SourceError(f"the file of {BAD} is torn")
        return self.source.interactions(window)


@pytest.fixture
def _short_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """`batch_daily` with a few assets: what is tested here is how days follow one another."""
    chain = dg.AssetSelection.assets(*CHAIN)
    job = dg.define_asset_job("batch_daily", chain)
    short = dg.Definitions(assets=defs.assets, jobs=[job], resources=RESOURCES, executor=dg.in_process_executor)
    monkeypatch.setattr("recsys_pipeline.definitions.defs", short)


@pytest.mark.usefixtures("_short_batch")
def test_a_day_that_fails_does_not_poison_later_days_and_can_be_run_later(tmp_path: Path) -> None:
    whole, torn = Deployment(tmp_path / "whole"), Deployment(tmp_path / "torn", wrap=Torn)
    span = f"{DAYS[0]}..{DAYS[-1]}"
    assert whole.recsys("run", "batch_daily", span).code == 0
    outcome = torn.recsys("run", "batch_daily", span)
    assert outcome.code == 1
    assert f"{BAD} is left out, since it cannot be read: the file of {BAD} is torn" in outcome.text
    table = outcome.text.split("day by day")[1]
    assert [day for day in DAYS if day in table] == list(DAYS)
    assert table.count("failed: dataset/interactions failed") == 1
    wanted, found = whole.everything(), torn.everything()
    assert set(wanted) - set(found) == {(key, BAD) for key in CHAIN}
    depends_on_it = {place for place in found if place[1] > BAD and place[0] != CHAIN[0]}
    for place in set(found) - depends_on_it:
        assert found[place].manifest.digest == wanted[place].manifest.digest, place
    days = [found["dataset/snapshot", day].manifest.metrics["days"] for day in (DAYS[0], *DAYS[2:])]
    assert days == [3, 4, 5], "the torn day is absent, the two before the first are not"

    mended = Deployment(tmp_path / "torn")
    for again in (BAD, f"{DAYS[2]}..{DAYS[3]}"):
        assert mended.recsys("run", "batch_daily", again).code == 0
    assert {place: made.manifest.digest for place, made in mended.everything().items()} == {
        place: made.manifest.digest for place, made in wanted.items()
    }
    again = mended.recsys("run", "batch_daily", span)
    assert again.code == 0
    assert not re.search(r"made +[\d.]+ s", again.text.split("day by day")[0]), "nothing is made twice"


@pytest.mark.usefixtures("_short_batch")
def test_every_day_may_fail_and_each_is_told(deployment: Deployment) -> None:
    class Gone(Misbehaving):
        def interactions(self, window: Window) -> pa.RecordBatchReader:
            raise SourceError(f"nothing there from {window.start.date()}")

    gone = Deployment(deployment.home, wrap=Gone)
    outcome = gone.recsys("run", "batch_daily", f"{DAYS[0]}..{DAYS[1]}")
    assert outcome.code == 1
    assert outcome.text.count("failed: dataset/interactions failed") == 2
    assert gone.everything() == {}


@pytest.mark.usefixtures("_short_batch")
def test_a_run_says_whose_it_is_and_records_those_that_were_killed(deployment: Deployment) -> None:
    gone = {PROCESS: f"{socket.gethostname()}~{2**22 + 1}~abc"}
    with deployment.active(), dg.DagsterInstance.get() as instance:
        killed = instance.add_run(dg.DagsterRun(job_name="batch_daily", tags=gone, status=dg.DagsterRunStatus.STARTED))
        left = state_of(use_history()) / ".processes" / gone[PROCESS]  # what a killed process leaves, unlocked
        left.parent.mkdir(exist_ok=True)
        left.touch()
    assert deployment.recsys("run", "batch_daily", DAYS[0]).code == 0
    with deployment.active(), dg.DagsterInstance.get() as instance:
        states = {run.run_id: run.status.value for run in instance.get_runs() if PROCESS in run.tags}
    assert states.pop(killed.run_id) == "FAILURE"
    assert list(states.values()) == ["SUCCESS"]


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ("2026-01-06..2026-01-03", "ends before it begins"),
        ("2026-01-03..", "2026-01-03.. has no last day or hour"),
        ("2026-01-03..2999-01-01", "2999-01-01 is no day that can be run"),
        ("..2026-01-03", "..2026-01-03 has no first day or hour"),
        ("2026-01-03...2026-01-04", "is no day that can be run"),
        ("2026-01-03..2026-01-04-05:00", "batch_daily takes a day, written as 2026-01-05; 2026-01-04-05:00 is an hour"),
        ("2026-01-03-05:00", "batch_daily takes a day, written as 2026-01-05; 2026-01-03-05:00 is an hour"),
    ],
)
def test_a_wrong_range_is_refused_at_once(deployment: Deployment, span: str, message: str) -> None:
    outcome = deployment.recsys("run", "batch_daily", span)
    assert outcome.code == 1
    assert message in outcome.text


@pytest.mark.parametrize(
    ("span", "message"),
    [
        (DAYS[0], f"speed_hourly takes an hour, written as 2026-01-05-13:00; {DAYS[0]} is a day"),
        (f"{DAYS[0]}..{DAYS[1]}", f"speed_hourly takes an hour, written as 2026-01-05-13:00; {DAYS[0]} is a day"),
        (f"{DAYS[0]}-13", f"{DAYS[0]}-13 is no hour that can be run"),
        ("2999-01-01-00:00", "2999-01-01-00:00 is no hour that can be run: there are hours from 2026-01-01-00:00 to "),
        ("2025-12-31-23:00", "RECSYS_HOURLY_DAYS=0 gives those of all days"),
    ],
)
def test_the_hourly_job_takes_hours(deployment: Deployment, span: str, message: str) -> None:
    outcome = deployment.recsys("run", "speed_hourly", span)
    assert outcome.code == 1
    assert message in outcome.text
    assert not Path(deployment.store.root).exists()


def test_a_wrong_field_ends_the_whole_range(deployment: Deployment) -> None:
    outcome = deployment.recsys("run", "batch_daily", f"{DAYS[0]}..{DAYS[1]}", "--set", "models/als.embeding_size=3")
    assert (outcome.code, outcome.text.count("SettingError")) == (1, 1)


def test_what_takes_all_cores_shares_one_pool_and_the_batch_keeps_its_order() -> None:
    for asset in defs.assets or ():
        assert isinstance(asset, dg.AssetsDefinition)
        for key in asset.keys:
            assert asset.op.pool == (TRAINING if key.path[0] in HEAVY else None), key
    assert defs.resolve_job_def("batch_daily").tags[IN_ORDER] == "batch_daily"


def test_dagster_yaml_is_read_as_it_is_meant(tmp_path: Path) -> None:
    raw = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    for section, keys in {
        "storage": ("sqlite",),
        "local_artifact_storage": ("config",),
        "compute_logs": ("config",),
    }.items():
        raw[section][keys[0]]["base_dir"] = str(tmp_path / section)
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(raw))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        limits = instance.get_concurrency_config()
        assert limits.pool_config.pool_granularity is not None
        assert limits.pool_config.pool_granularity.value == "run", "steps of one run need not wait for each other"
        assert limits.pool_config.default_pool_limit == 1
        assert limits.run_queue_config is not None
        assert limits.run_queue_config.max_concurrent_runs >= 2, "an hourly run need not wait for the batch"
        by_key = {limit["key"]: limit["limit"] for limit in limits.run_queue_config.tag_concurrency_limits}
        assert by_key == {IN_ORDER: 1, "dagster/backfill": 1}
