"""Joins: whether the ids of the day's events are those of the catalogue."""

import json
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
from pydantic import Field

from recsys_pipeline.adapters.store.artifact_store import Built
from recsys_pipeline.adapters.wandb.tracker import TrackedRun
from recsys_pipeline.core.dataset.days import INTERACTIONS_FILE
from recsys_pipeline.core.dataset.joins import join_share
from recsys_pipeline.defs.production import produce, stage_asset, steps
from recsys_pipeline.defs.resources import StoreResource, TrackerResource

KEY = "dataset/joins"
READS = ["dataset/interactions", "dataset/items"]
MIN_JOIN_SHARE = 0.5
"""With less, most of what is learned could not be offered."""


class JoinsConfig(dg.Config):
    """How many of the day's events must be of items in the catalogue."""

    min_join_share: float = Field(
        MIN_JOIN_SHARE, ge=0, le=1, description="Fail where a smaller share of the day's events is of catalogue items."
    )


@stage_asset(KEY, needs="interactions.items", kinds={"python"}, after=READS)
def joins(
    context: dg.AssetExecutionContext, config: JoinsConfig, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is a pair of tables: the share of the day's events, and of their ids, whose item is in the catalogue.

    Ids that are written otherwise join nothing: all that is learned would be off sale. Nothing is released then.
    """
    events, items = (store.input(context, key) for key in READS)

    def build(directory: Path, _: TrackedRun) -> Built:
        ids = pq.read_table(events.path / INTERACTIONS_FILE, columns=["item_id"]).column("item_id")
        known = pq.read_table(items.path / "items.parquet", columns=["item_id"]).column("item_id")
        found = join_share("interactions", ids, known)
        found.check(config.min_join_share)
        if found.missing:
            steps.warning("  %s", found.told())
        (directory / "joins.json").write_text(json.dumps(vars(found), indent=1))
        return Built({"share of events": found.share, "ids": found.ids, "ids joined": found.ids_joined,
                      "in words": found.told()})  # fmt: skip

    return produce(context, store, tracker, inputs=[events, items], config=config, build=build)
