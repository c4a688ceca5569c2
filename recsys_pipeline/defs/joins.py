"""Joins: whether the ids of the day's events are those of the catalogue."""

import json

import dagster as dg
import pyarrow.parquet as pq
from pydantic import Field

from recsys_pipeline.adapters.store.artifact_store import Built
from recsys_pipeline.core.dataset.days import INTERACTIONS_FILE
from recsys_pipeline.core.dataset.joins import join_share
from recsys_pipeline.defs.asset import asset
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.reads import Read
from recsys_pipeline.defs.step_log import steps

KEY, EVENTS, ITEMS = "dataset/joins", "dataset/interactions", "dataset/items"
MIN_JOIN_SHARE = 0.5
"""With less, most of what is learned could not be offered."""


class JoinsConfig(dg.Config):
    """How many of the day's events must be of items in the catalogue."""

    min_join_share: float = Field(
        MIN_JOIN_SHARE, ge=0, le=1, description="Fail where a smaller share of the day's events is of catalogue items."
    )


@asset(KEY, kinds={"python"}, reads=[Read(EVENTS), Read(ITEMS)], form=JoinsConfig)
def joins(make: Make) -> Built:
    """One row is a pair of tables: the share of the day's events, and of their ids, whose item is in the catalogue.

    Ids that are written otherwise join nothing: all that is learned would be off sale. Nothing is released then.
    """
    ids = pq.read_table(make[EVENTS].path / INTERACTIONS_FILE, columns=["item_id"]).column("item_id")
    known = pq.read_table(make[ITEMS].path / "items.parquet", columns=["item_id"]).column("item_id")
    found = join_share("interactions", ids, known)
    found.check(make.form.min_join_share)
    if found.missing:
        steps.warning("  %s", found.told())
    (make.directory / "joins.json").write_text(json.dumps(vars(found), indent=1))
    return Built({"share of events": found.share, "ids": found.ids, "ids joined": found.ids_joined,
                  "in words": found.told()})  # fmt: skip
