"""Runs a real job in this process, on the same instance that the UI shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from recsys_pipeline.commands.running.code_location import create_run
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.time import HOUR_KEY
from recsys_pipeline.defs.failures import cause_of
from recsys_pipeline.defs.instance import fail_killed_runs, open_instance, tags_of_this_process
from recsys_pipeline.defs.missing_days import MISSING
from recsys_pipeline.defs.overrides import op_config
from recsys_pipeline.defs.partitions import daily, hourly
from recsys_pipeline.defs.refusals import MAX_RETRIES
from recsys_pipeline.defs.resources import SourceResource
from recsys_pipeline.settings import settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
TOLD_HERE = {MAX_RETRIES: "0"}
"""Whoever typed the command is told of a failure and runs it again: a second try behind their back, when the daemon
comes to it (at the next start of the UI, say), would surprise them."""
OF_HOURS = frozenset({"speed_hourly"})
"""Jobs whose partitions are hours."""


@dataclass(frozen=True)
class Outcome:
    """What a run did: artifacts that it made, and those that were up to date."""

    run_id: str
    made: int
    reused: int
    missing: str = ""
    """What of the history is not there."""


def last_complete_day() -> str:
    """The last daily partition for which the configured source has data."""
    day, last = daily().get_last_partition_key(), SourceResource().open().days().last
    if day is None:
        raise SettingError("the source has no complete day yet: RECSYS_START_DATE must lie before today")
    return day if last is None else min(day, last.isoformat())


def last_complete_hour() -> str:
    """The last hourly partition of the source."""
    hour = hourly().get_last_partition_key()
    if hour is None:
        raise SettingError("the source has no complete hour yet: RECSYS_START_DATE must lie before now")
    return hour


def run_job(
    defs: dg.Definitions,
    name: str,
    partition: str,
    overrides: Sequence[str] = (),
    recompute: bool = False,
    only: str = "",
) -> Outcome:
    """Run a job for one day or hour; the first failed step's own error is raised.

    `overrides` are Launchpad fields as `stage/subject.field=value`; `recompute` makes again what is up to date; `only`
    is an asset's key: nothing but it and what it is made from. Earlier runs that were killed are recorded as failed.
    """
    check_partition(partition, of_hours=name in OF_HOURS, taker=name)
    with open_instance() as instance:
        # Within the instance: Dagster looks for state of its own there where definitions are resolved first.
        job = defs.resolve_job_def(name)
        ops = op_config(job, overrides)
        config = {**QUIET, "ops": ops, "resources": {"store": {"config": {"recompute": recompute}}}}
        chosen = dg.AssetSelection.assets(only).upstream().resolve(defs.resolve_asset_graph()) if only else None
        fail_killed_runs(instance)
        try:
            run = create_run(instance, job, config, partition, chosen, TOLD_HERE | tags_of_this_process())
        except dg.DagsterInvalidConfigError as error:
            raise SettingError("; ".join(problem.message for problem in error.errors)) from error
        result = execute_run(InMemoryJob(job), run, instance)
    if not result.success:
        raise cause_of(result)
    told = [
        event.step_materialization_data.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization
    ]
    made = [metadata["up_to_date"].value for metadata in told if "up_to_date" in metadata]
    missing = next((str(metadata[MISSING].value) for metadata in told if MISSING in metadata), "")
    return Outcome(result.run_id, made.count(False), made.count(True), missing)


def check_partition(key: str, of_hours: bool, taker: str = "this") -> None:
    """Raise `SettingError` for a day, or an hour such as 2026-01-05-13:00, that the source lacks or has not yet.

    `taker` is what takes days, or hours, as the message names it.
    """
    is_day, is_hour = _is_written_as(key, "%Y-%m-%d"), _is_written_as(key, HOUR_KEY)
    if of_hours and is_day:
        raise SettingError(
            f"{taker} takes an hour, written as 2026-01-05-13:00; {key} is a day: its hours are "
            f"{key}-00:00..{key}-23:00"
        )
    if is_hour and not of_hours:
        raise SettingError(f"{taker} takes a day, written as 2026-01-05; {key} is an hour")
    days, hours = daily(), hourly()
    if of_hours and not hours.has_partition_key(key):
        days = settings().hourly_days
        kept = f"those of the newest {days} days" if days else "those of all days"
        raise SettingError(
            f"{key} is no hour that can be run: there are hours from {hours.get_first_partition_key()} to "
            f"{hours.get_last_partition_key()} (UTC), written as 2026-01-05-13:00; "
            f"RECSYS_HOURLY_DAYS={days} gives {kept}"
        )
    if not of_hours and (not days.has_partition_key(key) or key > last_complete_day()):
        raise SettingError(
            f"{key} is no day that can be run: the source has complete days from {days.get_first_partition_key()} to "
            f"{last_complete_day()} (UTC), written as YYYY-MM-DD"
        )


def _is_written_as(key: str, form: str) -> bool:
    try:
        return datetime.strptime(key, form).strftime(form) == key  # noqa: DTZ007 - only its form counts
    except ValueError:
        return False
