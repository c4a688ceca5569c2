"""A history with gaps: said in log, metadata, status and an alert, and red where too much is missing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from recsys_pipeline.adapters.alerts import Alert
from recsys_pipeline.adapters.intake.missing_history import MissingFile, MissingHistory
from recsys_pipeline.adapters.intake.period_files import rows_given
from recsys_pipeline.adapters.store.artifact_store import Artifact
from recsys_pipeline.adapters.wandb.tracker import Tracker
from recsys_pipeline.core.dataset.days import QUARANTINE_FILE
from recsys_pipeline.core.errors import DataError
from recsys_pipeline.defs.alerting import MAX_TEXT, raise_alert
from recsys_pipeline.defs.step_log import steps
from recsys_pipeline.settings import settings

MISSING = "missing history"
"""Metadata of `dataset/interactions`, which a run repeats in its last line."""


PUT_ASIDE = "put aside"
"""Metadata: how many of the rows that were read stand in quarantines, and the first of them."""


def tell_put_aside(made: Sequence[Artifact]) -> dict[str, Any]:
    """Say how many rows of the days that were read are in quarantine; returns metadata, none where no row is."""
    bad = [artifact for artifact in made if not artifact.reused and artifact.manifest.metrics["quarantined"]]
    if not bad:
        return {}
    rows = sum(rows_given(one.manifest.metrics) for one in made if not one.reused)
    quarantine = pq.read_table(bad[-1].path / QUARANTINE_FILE)
    first = quarantine.slice(quarantine.num_rows - 1).to_pylist()[0]
    told = (
        f"{sum(one.manifest.metrics['quarantined'] for one in bad)} of {rows} rows are put aside, as row "
        f"{first['source_row']} of {first['source_file']} ({bad[-1].manifest.recipe.partition}): {first['reason']}"
    )
    steps.warning("  %s", told)
    return {PUT_ASIDE: told}


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
