"""The code location as `workspace.yaml` names it: runs of the command line belong to it as those of the UI do."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

LOCATION, MODULE = "recsys_pipeline", "recsys_pipeline.definitions"


def job_origin(name: str) -> RemoteJobOrigin:
    """Where the UI finds the job: without it a run is on no timeline, in no job's list, and cannot be run again."""
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=MODULE)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, location_name=LOCATION)
    return RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME).get_job_origin(name)


def create_run(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    config: Mapping[str, Any],
    partition: str,
    assets: Iterable[dg.AssetKey] | None,
    tags: Mapping[str, str],
) -> dg.DagsterRun:
    """A run that has not begun, as `dagster job launch` makes one: with origin, snapshots, partition and job's tags.

    Raises `DagsterInvalidConfigError`.
    """
    repository = ReconstructableRepository.for_module(MODULE, "defs")
    return instance.create_run_for_job(
        job,
        run_config=config,
        asset_selection=set(assets) if assets else None,
        tags={**job.run_tags, **job.get_tags_for_partition_key(partition, selected_asset_keys=assets), **tags},
        remote_job_origin=job_origin(job.name),
        job_code_origin=repository.get_reconstructable_job(job.name).get_python_origin(),
    )
