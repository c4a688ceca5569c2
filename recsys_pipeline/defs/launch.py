"""Runs a real job in this process, on the same instance that the UI shows."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from recsys_pipeline.core.errors import RecsysError, SettingError
from recsys_pipeline.defs.partitions import DAILY, HOURLY
from recsys_pipeline.defs.resources import SourceResource

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Outcome:
    """What a run did: artifacts that it made, and those that were up to date."""

    run_id: str
    made: int
    reused: int


def last_complete_day() -> str:
    """The last daily partition for which the configured source has data."""
    day, last = DAILY.get_last_partition_key(), SourceResource().open().days().last
    if day is None:
        raise SettingError("the source has no complete day yet: RECSYS_START_DATE must lie before today")
    return day if last is None else min(day, last.isoformat())


def last_complete_hour() -> str:
    """The last hourly partition of the source."""
    hour = HOURLY.get_last_partition_key()
    if hour is None:
        raise SettingError("the source has no complete hour yet: RECSYS_START_DATE must lie before now")
    return hour


def use_this_folder() -> None:
    """Let Dagster keep its state where the UI does: beside `dagster.yaml`, unless the environment says otherwise."""
    os.environ.setdefault("DAGSTER_HOME", str(Path.cwd()))


def run_job(
    defs: dg.Definitions, name: str, day: str, overrides: Sequence[str] = (), recompute: bool = False, only: str = ""
) -> Outcome:
    """Run a job for one day; the first failed step's own error is raised.

    `overrides` are Launchpad fields as `stage/subject.field=value`; `recompute` makes again what is up to date; `only`
    is an asset's key: nothing but it and what it is made from.
    """
    use_this_folder()
    check_day(day)
    config = {**QUIET, "ops": _op_config(overrides), "resources": {"store": {"config": {"recompute": recompute}}}}
    with dg.DagsterInstance.get() as instance:
        # Within the instance: Dagster looks for state of its own there where definitions are resolved first.
        job = defs.resolve_job_def(name)
        chosen = dg.AssetSelection.assets(only).upstream().resolve(defs.resolve_asset_graph()) if only else None
        selection = sorted(chosen) if chosen else None
        try:
            result = job.execute_in_process(
                config, instance=instance, partition_key=day, raise_on_error=False, asset_selection=selection
            )
        except dg.DagsterInvalidConfigError as error:
            raise SettingError("; ".join(problem.message for problem in error.errors)) from error
    if not result.success:
        raise cause_of(result)
    made = [
        metadata["up_to_date"].value
        for event in result.all_events
        if event.is_step_materialization
        and "up_to_date" in (metadata := event.step_materialization_data.materialization.metadata)
    ]
    return Outcome(result.run_id, made=made.count(False), reused=made.count(True))


def check_day(day: str) -> None:
    """Raise `SettingError` for a day, or an hour such as 2026-01-05-13:00, that the source lacks or has not yet."""
    if HOURLY.has_partition_key(day):
        return
    if not DAILY.has_partition_key(day) or day > last_complete_day():
        raise SettingError(
            f"{day} is no day that can be run: the source has complete days from {DAILY.get_first_partition_key()} to "
            f"{last_complete_day()} (UTC), written as YYYY-MM-DD"
        )


def _op_config(overrides: Sequence[str]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for override in overrides:
        target, separator, value = override.partition("=")
        key, dot, field = target.rpartition(".")
        if not separator or not dot:
            raise SettingError(f"--set {override}: write stage/subject.field=value")
        config.setdefault(key.replace("/", "__"), {"config": {}})["config"][field] = yaml.safe_load(value)
    return config


def cause_of(result: dg.ExecuteInProcessResult) -> Exception:
    """The first failed step's own error."""
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            # Dagster wraps what the step raised; what that in turn was raised from says less, not more.
            error = error.cause if error and error.cause else error
            return RecsysError(f"step {event.step_key} failed: {error.message.strip() if error else 'no reason given'}")
    return RecsysError(f"run {result.run_id} failed; see the UI")
