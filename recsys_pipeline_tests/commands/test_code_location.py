"""A run of the command line is a run of the code location: listed with its job, and run again from the UI's own API."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster_graphql.test.utils import execute_dagster_graphql

from recsys_pipeline.commands.running.code_location import LOCATION, MODULE
from recsys_pipeline.commands.running.launch import run_job
from recsys_pipeline.core.errors import RecsysError, SourceError
from recsys_pipeline.definitions import defs
from recsys_pipeline.defs.instance import PARTITION
from recsys_pipeline.defs.refusals import MAX_RETRIES
from recsys_pipeline.defs.retries import WILL_RETRY
from recsys_pipeline_tests.deployment import DAY, Deployment

WORKSPACE = Path(__file__).parents[2] / "workspace.yaml"
JOB = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION, "pipelineName": "batch_daily"}
LISTED = """query Runs($job: PipelineSelector!) {
  pipelineOrError(params: $job) { ... on Pipeline { runs { runId repositoryOrigin { repositoryLocationName } } } }
}"""
TIMELINE = """query Timeline($filter: RunsFilter) {
  runsOrError(filter: $filter) { ... on Runs { results { runId } } }
}"""
AGAIN = """mutation Again($params: ReexecutionParams!) {
  launchPipelineReexecution(reexecutionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId parentRunId tags { key value } } } ... on PythonError { message }
  }
}"""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A deployment whose catalogue of one day was made by the command line's own function."""
    found = Deployment(tmp_path_factory.mktemp("code_location"))
    with found.active():
        run_job(defs, "batch_daily", DAY, only="dataset/items")
    return found


@pytest.fixture
def ui(deployment: Deployment) -> Iterator[WorkspaceRequestContext]:
    """What the UI's API answers from, with the code location loaded in this process."""
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name=MODULE), location_name=LOCATION)
    with (
        deployment.active(),
        dg.DagsterInstance.get() as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(location)) as workspace,
    ):
        yield workspace.create_request_context()


def asked(ui: WorkspaceRequestContext, query: str, **variables: Any) -> Any:
    """The one answer of a query."""
    (answer,) = execute_dagster_graphql(ui, query, variables).data.values()
    return answer


def of_the_command(ui: WorkspaceRequestContext) -> dg.DagsterRun:
    """The oldest run."""
    *_, run = ui.instance.get_runs()
    return run


def test_the_location_is_that_of_the_workspace() -> None:
    (location,) = yaml.safe_load(WORKSPACE.read_text())["load_from"]
    assert location == {"python_module": {"module_name": MODULE, "location_name": LOCATION}}


def test_the_job_and_the_timeline_list_it(ui: WorkspaceRequestContext) -> None:
    run = of_the_command(ui)
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.location_name == LOCATION
    assert run.tags[PARTITION] == DAY
    *_, of_job = asked(ui, LISTED, job=JOB)["runs"]
    assert of_job == {"runId": run.run_id, "repositoryOrigin": {"repositoryLocationName": LOCATION}}
    label = {"key": ".dagster/repository", "value": f"__repository__@{LOCATION}"}
    *_, on_timeline = asked(ui, TIMELINE, filter={"pipelineName": "batch_daily", "tags": [label]})["results"]
    assert on_timeline == {"runId": run.run_id}


def test_it_is_run_again_from_the_ui(ui: WorkspaceRequestContext) -> None:
    run = of_the_command(ui)
    answer = asked(ui, AGAIN, params={"parentRunId": run.run_id, "strategy": "ALL_STEPS"})
    assert answer["__typename"] == "LaunchRunSuccess", answer
    again = ui.instance.get_run_by_id(answer["run"]["runId"])
    assert again is not None
    assert (again.parent_run_id, again.asset_selection) == (run.run_id, run.asset_selection)
    dequeued = again.with_status(dg.DagsterRunStatus.STARTING)
    assert execute_run(InMemoryJob(defs.resolve_job_def("batch_daily")), dequeued, ui.instance).success


def test_what_failed_before_its_caller_is_not_tried_again_behind_him(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_source_error(*_: object) -> None:
        raise SourceError("a bad moment")

    monkeypatch.setattr("recsys_pipeline.defs.making.recipe_of", raise_source_error)
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\nrun_retries: {enabled: true, max_retries: 1}\n")
    with Deployment(tmp_path).active(), dg.DagsterInstance.get() as instance:
        with pytest.raises(RecsysError, match="a bad moment"):
            run_job(defs, "batch_daily", DAY, only="dataset/items")
        (run,) = instance.get_runs()
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert run.tags[MAX_RETRIES] == "0"
    assert run.tags[WILL_RETRY] == "false"
