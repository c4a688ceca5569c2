"""Daily partitions, UTC: the batch layer's only clock."""

from datetime import date, timedelta

import dagster as dg

from recsys_pipeline.defs.resources import configured_source


def _daily() -> dg.DailyPartitionsDefinition:
    days = configured_source().days()
    end = (days.last + timedelta(days=1)).isoformat() if days.last else None
    return dg.DailyPartitionsDefinition(start_date=days.first.isoformat(), end_date=end, timezone="UTC")


DAILY = _daily()


def day_of(context: dg.AssetExecutionContext) -> date:
    """The day that this run computes."""
    return date.fromisoformat(context.partition_key)
