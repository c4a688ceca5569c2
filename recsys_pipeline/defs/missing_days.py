"""A history with gaps: said in log, metadata, status and an alert, and red where too much is missing."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from recsys_pipeline.adapters.alerts import Alert
from recsys_pipeline.adapters.missing_history import MissingFile, MissingHistory
from recsys_pipeline.adapters.tracker import Tracker
from recsys_pipeline.core.errors import DataError
from recsys_pipeline.defs.alerting import MAX_TEXT, raise_alert
from recsys_pipeline.defs.production import steps
from recsys_pipeline.settings import settings

MISSING = "missing history"
"""Metadata of `dataset/interactions`, which a run repeats in its last line."""


def tell_missing(
    context: dg.AssetExecutionContext, source: str, found: MissingHistory, max_share: float, tracker: Tracker
) -> dict[str, Any]:
    """Say what is missing wherever people look; returns metadata. Raises `DataError` where it is more than `max_share`.

    An alert is sent when other days are missing than before, not each day anew.
    """
    is_news = MissingFile(settings().home, source).write(found)
    if not found:
        return {}
    steps.warning("  %s", found.told())
    if is_news:
        webhook = settings().alert_webhook
        at = datetime.now(UTC).isoformat(timespec="seconds")
        run = context.run
        title = f"{len(found.unread) + len(found.absent)} of {found.days_of_all} days of {source} are missing"
        alert = Alert(at, title, found.told()[:MAX_TEXT], run.job_name, found.day, run.run_id)
        for failure in raise_alert(alert, tracker, webhook.get_secret_value() if webhook else None):
            steps.warning("  %s", failure)
    if found.is_too_much(max_share):
        raise DataError(
            f"{found.told()}. That is more than max_missing_share = {max_share:g} of the history allows: mend the "
            "source and run again, or raise dataset/interactions.max_missing_share to learn from the rest"
        )
    return {MISSING: found.told(), "missing days": len(found.unread) + len(found.absent), "missing rows": found.rows}
