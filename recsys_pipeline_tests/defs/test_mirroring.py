"""`recsys wandb push|status` and the job `wandb_mirror`, as people meet them."""

from pathlib import Path

import dagster as dg
import pytest

from recsys_pipeline.commands.doctor import check_wandb
from recsys_pipeline.settings import settings
from recsys_pipeline_tests.adapters.mirror_fixtures import Home
from recsys_pipeline_tests.deployment import Deployment

KEY = "f" * 40
OFF = (("WANDB_MODE", "online"), ("WANDB_API_KEY", ""), ("WANDB_BASE_URL", "http://127.0.0.1:9"))
AWAY = (("WANDB_MODE", "online"), ("WANDB_API_KEY", KEY), ("WANDB_BASE_URL", "http://127.0.0.1:9"))


def deployment(folder: Path, environment: tuple[tuple[str, str], ...], waiting: bool = True) -> Deployment:
    if waiting:
        Home(folder / "data", "recsys_pipeline").make("models/als")
    return Deployment(folder, environment)


def test_status_lists_what_waits_and_asks_nobody(tmp_path: Path) -> None:
    outcome = deployment(tmp_path, AWAY).recsys("wandb", "status")
    assert outcome.code == 0
    assert "0 running, 1 waiting to be sent" in outcome.text
    assert "models/als@2026-01-02" in outcome.text
    assert "W&B is online: runs are sent to" in outcome.text
    assert KEY not in outcome.text


def test_push_without_anything_to_send_needs_no_server(tmp_path: Path) -> None:
    outcome = deployment(tmp_path, AWAY, waiting=False).recsys("wandb", "push")
    assert (outcome.code, outcome.text) == (0, "Nothing waits: W&B has everything")


def test_what_a_client_that_was_killed_wrote_goes_with_the_next_push(tmp_path: Path) -> None:
    left = tmp_path / "data" / "wandb" / "sending" / "als-2026-01-02-models-ab"
    left.mkdir(parents=True)
    assert deployment(tmp_path, AWAY, waiting=False).recsys("wandb", "push").code == 0
    assert not left.exists()


def test_push_without_a_key_says_what_to_do(tmp_path: Path) -> None:
    outcome = deployment(tmp_path, OFF).recsys("wandb", "push")
    assert outcome.code == 1
    assert "WANDB_API_KEY is not set" in outcome.text


def test_every_command_says_in_the_same_words_how_runs_reach_wandb(tmp_path: Path) -> None:
    words, found = "offline (WANDB_API_KEY is not set): runs wait below the runtime root", deployment(tmp_path, OFF)
    for verb in (("wandb", "status"), ("status",)):
        assert words in found.recsys(*verb).text
    with found.active():
        (finding,) = check_wandb(settings())
    assert words in finding.what


def test_push_to_nobody_says_what_is_left_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys_pipeline.adapters.wandb.mirror.BACKOFF_S", 0.01)
    outcome = deployment(tmp_path, AWAY).recsys("wandb", "push")
    assert outcome.code == 1
    assert "0 runs sent, 1 left" in outcome.text
    assert "models/als@2026-01-02: http://127.0.0.1:9 does not answer" in outcome.text
    assert KEY not in outcome.text


def test_push_with_tracking_off_says_so(tmp_path: Path) -> None:
    outcome = deployment(tmp_path, (("WANDB_MODE", "disabled"),)).recsys("wandb", "push")
    assert outcome.code == 1
    assert "WANDB_MODE is disabled" in outcome.text


def test_status_with_tracking_off_says_so_and_what_waits(tmp_path: Path) -> None:
    outcome = deployment(tmp_path, (("WANDB_MODE", "disabled"),)).recsys("wandb", "status")
    assert outcome.code == 0
    assert "switched off (WANDB_MODE is disabled): nothing is tracked or sent" in outcome.text
    assert "0 running, 1 waiting to be sent" in outcome.text


def test_the_job_fails_where_something_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsys_pipeline.definitions import defs

    monkeypatch.setattr("recsys_pipeline.adapters.wandb.mirror.BACKOFF_S", 0.01)
    job = defs.resolve_job_def("wandb_mirror")
    with deployment(tmp_path, AWAY).active():
        result = job.execute_in_process(raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "1 left" in str(failure.step_failure_data.user_failure_data)
    with deployment(tmp_path / "empty", AWAY, waiting=False).active():
        assert job.execute_in_process().success


@pytest.mark.parametrize(
    ("environment", "waiting", "skipped"),
    [(OFF, True, "no WANDB_API_KEY"), (AWAY, False, "nothing waits"), (AWAY, True, None)],
)
def test_the_schedule_runs_where_it_can_do_something(
    tmp_path: Path, environment: tuple[tuple[str, str], ...], waiting: bool, skipped: str | None
) -> None:
    from recsys_pipeline.definitions import defs

    schedule = defs.resolve_schedule_def("wandb_mirror")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    with deployment(tmp_path, environment, waiting).active(), dg.DagsterInstance.ephemeral() as instance:
        tick = schedule.evaluate_tick(dg.build_schedule_context(instance, repository_def=defs.get_repository_def()))
    if skipped:
        assert not tick.run_requests
        assert skipped in (tick.skip_message or "")
    else:
        assert len(tick.run_requests or ()) == 1
