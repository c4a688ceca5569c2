"""The job that moves what is served: nothing is chosen beforehand, and a refusal is told once."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from recsys_pipeline.adapters.serving.releases import champion, promote_if_newer
from recsys_pipeline.defs.releasing import release_by_hand
from recsys_pipeline.defs.resources import RESOURCES
from recsys_pipeline_tests.adapters.release_artifacts import promotable
from recsys_pipeline_tests.deployment import Deployment, failure

DAYS = ("2026-01-05", "2026-01-06")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """Two promoted days, and a third that the gate rejected."""
    made = Deployment(tmp_path)
    for day in DAYS:
        promote_if_newer(made.store, *promotable(made.store, day))
    promotable(made.store, "2026-01-07", good=False)
    return made


def move(deployment: Deployment, **form: object) -> dg.ExecuteInProcessResult:
    config: dict[str, Any] = {"ops": {"move_champion": {"config": form}}} if form else {}
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    resources = {name: RESOURCES[name] for name in ("store", "tracker")}
    with deployment.active(), dg.DagsterInstance.ephemeral() as instance:
        return release_by_hand.execute_in_process(
            {**config, **quiet}, instance=instance, resources=resources, raise_on_error=False
        )


def served(deployment: Deployment) -> str:
    found = champion(deployment.store)
    assert found is not None
    return found.manifest.recipe.partition


def test_an_action_must_be_chosen(deployment: Deployment) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="Missing required config"):
        move(deployment)
    assert served(deployment) == DAYS[1]


def test_to_be_told_moves_nothing(deployment: Deployment) -> None:
    result = move(deployment, action="tell")
    assert result.success
    (output,) = [event for event in result.all_events if event.is_successful_output]
    told = str(output.step_output_data.metadata["in words"].value)
    assert told.startswith(f"{DAYS[1]} is served")
    assert told.endswith(f"a rollback would serve {DAYS[0]}")
    assert served(deployment) == DAYS[1]


def test_a_rollback_that_is_asked_for_is_made(deployment: Deployment) -> None:
    assert move(deployment, action="rollback", why="complaints").success
    assert served(deployment) == DAYS[0]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"action": "promote"}, "promote which day"),
        ({"action": "promote", "day": "yesterday"}, "'yesterday' is no day"),
        ({"action": "promote", "day": "2026-01-07"}, "2026-01-07 was not promoted"),
        ({"action": "rollback", "day": "2026-01-01"}, "no promoted release of 2026-01-01"),
    ],
)
def test_a_refusal_is_told_once_without_a_stack(deployment: Deployment, form: dict[str, str], said: str) -> None:
    result = move(deployment, **form)
    (event,) = [event for event in result.all_events if event.is_step_failure]
    told = event.step_failure_data
    assert said in failure(result)
    assert told.user_failure_data is not None
    assert said in str(told.user_failure_data.description)
    assert told.error is not None
    assert told.error.cause is None
    assert "adapters/serving/releases.py" not in "".join(told.error.stack)
    assert served(deployment) == DAYS[1]
