"""A failed run becomes an alert: in the log, at a webhook, at W&B. An alert that cannot be sent fails nothing."""

from datetime import UTC, datetime

import dagster as dg

from recsys_pipeline.adapters.alerts import Alert, AlertLog, post
from recsys_pipeline.adapters.wandb.tracker import Tracker
from recsys_pipeline.defs.failures import step_failures
from recsys_pipeline.defs.resources import TrackerResource
from recsys_pipeline.defs.retries import is_tried_again
from recsys_pipeline.settings import settings

MAX_TEXT = 2_000


def alert_log() -> AlertLog:
    """The alerts of this deployment."""
    return AlertLog(settings().home / "alerts" / "alerts.jsonl")


def alert_of(run: dg.DagsterRun, reason: str, at: datetime) -> Alert:
    """What people are told of a failed run."""
    partition = run.tags.get("dagster/partition", "")
    title = f"{run.job_name} failed" + (f" for {partition}" if partition else "")
    return Alert(at.isoformat(timespec="seconds"), title, reason[:MAX_TEXT], run.job_name, partition, run.run_id)


def raise_alert(alert: Alert, tracker: Tracker, webhook: str | None) -> list[str]:
    """Tell everybody; returns what could not be told, in words."""
    failures = []
    try:
        alert_log().append(alert)
    except OSError as error:
        failures.append(f"the alert could not be written: {error}")
    if webhook and (reason := post(webhook, alert)):
        failures.append(reason)
    with tracker.run(f"alert {alert.job} {alert.partition}".strip(), "alert", {"run_id": alert.run_id}) as run:
        run.alert(alert.title, alert.text)
    return failures


@dg.run_failure_sensor(
    name="alert_on_failure",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Soon after a run has failed: writes an alert to log, webhook (RECSYS_ALERT_WEBHOOK), W&B.",
)
def alert_on_failure(context: dg.RunFailureSensorContext, tracker: TrackerResource) -> None:
    """On from the start: it does nothing until a run fails."""
    alert = alert_of(context.dagster_run, _reason(context), datetime.now(UTC))
    webhook = settings().alert_webhook
    for failure in raise_alert(alert, tracker.open(), webhook.get_secret_value() if webhook else None):
        context.log.warning(failure)
    context.log.error(f"{alert.title}: {alert.text}")


def _reason(context: dg.RunFailureSensorContext) -> str:
    """The first failed step's own error, else what ended the run; and whether it is tried again."""
    again = is_tried_again(context.instance, context.dagster_run, context.get_step_failure_events())
    return (_step_error(context) or _run_error(context)) + (" (Dagster runs it once more)" if again else "")


def _step_error(context: dg.RunFailureSensorContext) -> str:
    return next((f"{one.step}: {one.reason}" for one in step_failures(context.get_step_failure_events())), "")


def _run_error(context: dg.RunFailureSensorContext) -> str:
    """Why a run failed outside any step: a kill, or code that does not load, is told by the event before the end."""
    kinds = {dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.RUN_FAILURE}
    last = ""
    for entry in context.instance.all_logs(context.dagster_run.run_id, of_type=kinds):
        event = entry.dagster_event
        if event is None or event.event_type == dg.DagsterEventType.RUN_FAILURE:
            break
        error = event.engine_event_data.error
        last = " ".join([event.message or "", error.message.strip() if error else ""]).strip()
    return " ".join([(context.failure_event.message or "no reason given").strip(), last]).strip()
