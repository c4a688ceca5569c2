"""The UI's log of a run tells what its steps said while they ran, in so many events as a page can hold."""

import logging

import dagster as dg
import pytest

from recsys_pipeline.defs.shown import log_progress
from recsys_pipeline.defs.step_log import steps, with_step_log

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def logged(n_epochs: int) -> list[str]:
    """Messages of a run whose one asset trains for so many epochs and warns at the end."""

    @dg.asset
    @with_step_log
    def model(context: dg.AssetExecutionContext) -> None:
        assert context.run.run_id
        for epoch in range(1, n_epochs + 1):
            log_progress(f"als epoch {epoch}", {"loss": 1 / epoch})
        steps.warning("  %d users have no rows", 3)

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([model], instance=instance, run_config=QUIET)
        entries = instance.all_logs(result.run_id)
    return [entry.user_message for entry in entries if not entry.is_dagster_event]


def test_every_epoch_of_a_short_training_is_there() -> None:
    assert logged(3) == ["als epoch 1  loss 1", "als epoch 2  loss 0.5", "als epoch 3  loss 0.3333",
                         "3 users have no rows"]  # fmt: skip


def test_a_long_training_makes_no_flood_and_its_warning_is_not_lost() -> None:
    messages = logged(2_000)
    assert 50 < len(messages) < 150
    assert messages[-1] == "3 users have no rows"
    assert messages[-2].startswith("als epoch 2000 ")


def test_the_terminal_has_each_line_once(caplog: pytest.LogCaptureFixture) -> None:
    before = list(steps.handlers)
    with caplog.at_level(logging.INFO, steps.name):
        logged(1)
        assert steps.handlers == before, "nothing of it stays"
    assert [record.getMessage() for record in caplog.records if record.name == steps.name] == [
        "  als epoch 1  loss 1",
        "  3 users have no rows",
    ]
