"""Each source has a history of runs of its own, configured as the checkout's; what the environment names wins."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.defs.history import history_of, use_history
from recsys_pipeline.defs.instance import open_instance
from recsys_pipeline.defs.resources import configured_source
from recsys_pipeline.defs.run_records import Recorded
from recsys_pipeline.settings import Settings, settings

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the checkout's `dagster.yaml` in which nothing was run."""
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_HOME", "data")
    choose("tiny", monkeypatch)
    yield tmp_path
    _forget()


def _forget() -> None:
    settings.cache_clear()
    configured_source.cache_clear()


def choose(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another source, as another process would find it."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("RECSYS_SIZE", size)
    _forget()


def test_the_default_simulator_keeps_the_history_of_the_checkout(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose("demo", monkeypatch)
    assert use_history() == checkout
    assert history_of(Settings(home=checkout / "elsewhere"), "simulator-demo") != checkout  # pyright: ignore


def test_runs_and_switches_of_one_source_are_not_those_of_another(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_instance() as instance:
        instance.add_run(dg.DagsterRun(job_name="batch_daily", status=dg.DagsterRunStatus.FAILURE))
    assert [run.state for run in Recorded.read().failures] == ["FAILURE"]
    choose("large", monkeypatch)
    assert Recorded.read() == Recorded([], [], [])
    choose("tiny", monkeypatch)
    assert len(Recorded.read().runs) == 1
    assert {path.name for path in (checkout / "data/.dagster/sources").iterdir()} == {
        "simulator-tiny",
        "simulator-large",
    }
    assert not (checkout / "data/.dagster/storage").exists(), "the default simulator's"


def test_every_history_has_the_limits_of_the_checkout(checkout: Path) -> None:
    with open_instance() as instance, dg.DagsterInstance.from_config(str(CHECKOUT)) as own:
        for name in ("run_queue", "concurrency", "run_monitoring", "run_retries", "telemetry"):
            assert instance.get_settings(name) == own.get_settings(name)
        assert str(checkout) in instance.storage_directory()
    text = (checkout / "dagster.yaml").read_text().replace("max_concurrent_runs: 2", "max_concurrent_runs: 5")
    (checkout / "dagster.yaml").write_text(text)
    os.environ.pop("DAGSTER_HOME")
    with open_instance() as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 5


def test_the_environment_says_where(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(checkout / "mine"))
    assert use_history() == checkout / "mine"


@pytest.mark.parametrize("size", ["tiny", "demo"])
def test_without_a_configuration_nothing_is_written(checkout: Path, monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    (checkout / "dagster.yaml").unlink()
    choose(size, monkeypatch)
    with pytest.raises(SettingError, match=r"has no dagster\.yaml, and Dagster would keep its state there"):
        use_history()
    assert list(checkout.iterdir()) == []


def test_from_a_folder_of_the_checkout_the_way_back_is_named(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "docs").mkdir()
    monkeypatch.chdir(checkout / "docs")
    with pytest.raises(SettingError, match=f"with telemetry on: cd {checkout}, or set DAGSTER_HOME"):
        use_history()
