"""Mirroring to Weights & Biases: the job and schedule `wandb_mirror`."""

import os

import dagster as dg

from recsys_pipeline.adapters.wandb.mirror import Mirror, Report
from recsys_pipeline.adapters.wandb.outbox import Outbox
from recsys_pipeline.adapters.wandb.server import is_online
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.defs.resources import TrackerResource, stores
from recsys_pipeline.settings import settings

SHOWN = 15
"""Names that are printed at most."""


def open_mirror() -> Mirror:
    """The mirror of this deployment, to look at what waits."""
    home = settings().home / "wandb"
    return Mirror(Outbox(home / "outbox"), stores(settings()), TrackerResource().project, home / "sending")


def sending_mirror() -> Mirror:
    """The mirror to send with; raises `SettingError` where tracking is switched off."""
    if os.environ.get("WANDB_MODE") == "disabled":
        raise SettingError("WANDB_MODE is disabled, so that nothing goes to W&B: unset it to push")
    return open_mirror()


@dg.op(description="Send what the outbox and the manifests hold and W&B has not acknowledged.")
def send_to_wandb(context: dg.OpExecutionContext) -> None:
    """Fails where something is left, and says why; what was sent stays sent."""
    report = sending_mirror().push(stores(settings()).sources(), context.log.info)
    context.log.info(headline(report))
    if report.left:
        raise dg.Failure(headline(report), metadata=dict(report.left[:SHOWN]))


@dg.job(executor_def=dg.in_process_executor, description="Mirror runs, artifacts and lineage to Weights & Biases.")
def wandb_mirror() -> None:
    """One op; a second one that starts meanwhile finds the lock taken and ends well."""
    send_to_wandb()


@dg.schedule(
    name="wandb_mirror", job=wandb_mirror, cron_schedule="20 * * * *", execution_timezone="UTC",
    description="Twenty past every hour: sends to W&B what waits, where a key is set.",
)  # fmt: skip
def wandb_mirror_hourly(_: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Twenty past every hour, where a key is set and something waits."""
    if not is_online():
        return dg.SkipReason("no WANDB_API_KEY, or WANDB_MODE is not online")
    waiting = len(open_mirror().waiting(stores(settings()).sources()))
    return dg.RunRequest() if waiting else dg.SkipReason("nothing waits to be sent")


def headline(report: Report) -> str:
    """What became of the runs, in a line."""
    if report.at_work:
        return f"Somebody is at work already ({report.at_work}); nothing else to do"
    if not report.sent and not report.left:
        return "Nothing waits: W&B has everything"
    return f"{len(report.sent)} runs sent, {len(report.left)} left"
