"""A tiny release made in memory, without Dagster: 30 users, 20 known items, 4 that nobody touched."""

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from recsys_pipeline.core.dataset.schema import TIMESTAMP
from recsys_pipeline.core.models.als import AlsConfig, AlsModel, fit
from recsys_pipeline.core.neighbors.index import IndexConfig, build_index
from recsys_pipeline.core.neighbors.vectors import VectorTable
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.monitoring.priors import Profile, Share, draw
from recsys_pipeline.core.serving.assemble import served_catalogue, served_items
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.serving.release_config import ReleaseConfig
from recsys_pipeline.core.serving.release_parts import ReleaseParts, write_release

DAY, END_US = "2026-01-05", 1_767_657_600_000_000
"""The end of the day: 2026-01-06T00:00Z."""
HOUR_US = 3_600_000_000
N_USERS, N_ITEMS, N_NEW = 30, 20, 4
USER_IDS = [f"user-{row}" for row in range(N_USERS)]
ITEM_IDS = [f"item-{row}" for row in range(N_ITEMS)]
NEW_ITEM_IDS = [f"new-{row}" for row in range(N_NEW)]
LAST_ITEM = N_ITEMS - 1
"""Nobody took it before the fit's last rows, so that its vector is folded in."""
OFF_SALE = "item-3"
CONFIG = AlsConfig(embedding_size=4, epochs=2)


@cache
def ratings() -> Ratings:
    """All known pairs: two groups of users with two halves of the items, the last item only in the last hour."""
    rng = np.random.default_rng(0)
    pairs = {(user, int(item)) for user in range(N_USERS) for item in rng.choice(9, 5, replace=False) + 9 * (user % 2)}
    user, item = np.array(sorted(pairs), np.int32).T
    time = END_US - rng.integers(HOUR_US * 24, HOUR_US * 240, len(user))
    late = np.arange(4, dtype=np.int32)
    return Ratings(
        user=np.concatenate([user, late]),
        item=np.concatenate([item, np.full(4, LAST_ITEM, np.int32)]),
        value=np.ones(len(user) + 4, np.float32),
        timestamp_us=np.concatenate([time, np.full(4, END_US - HOUR_US // 2)]),
        n_users=N_USERS,
        n_items=N_ITEMS,
    )


@cache
def model(config: AlsConfig = CONFIG) -> AlsModel:
    """Fitted on all pairs but those of the last hours."""
    known = ratings()
    return fit(known.take(fitted()), config, seed=0)


def fitted() -> np.ndarray:
    """The rows that the model is fitted on."""
    return ratings().timestamp_us < END_US - HOUR_US


def catalogue() -> pa.Table:
    """The day's catalogue: every item but one is on sale."""
    ids = [*ITEM_IDS, *NEW_ITEM_IDS]
    return pa.table(
        {
            "item_id": pa.array(ids),
            "title": pa.array([f"Title of {item}" for item in ids]),
            "categories": pa.array([["chair" if row % 2 else "lamp"] for row in range(len(ids))]),
            "price": pa.array([10.0 + row for row in range(len(ids))]),
            "available": pa.array([item != OFF_SALE for item in ids]),
            "created_at": pa.array([None] * len(ids), TIMESTAMP),
        }
    )


def parts(config: ReleaseConfig | None = None, of_model: AlsConfig = CONFIG) -> ReleaseParts:
    """Everything that a release is written from."""
    config, known, fitted_model = config or ReleaseConfig(k=5), ratings(), model(of_model)
    items = served_items(fitted_model, known, ITEM_IDS, catalogue())
    table = served_catalogue(items, known, END_US, config.popularity_half_life_hours, catalogue())
    users, on_sale = fitted_model.fold_in(known), np.flatnonzero(table["available"].to_numpy())
    index = build_index(
        VectorTable([items.ids[row] for row in on_sale], items.vectors[on_sale]), users, IndexConfig(), seed=0
    )
    values = draw("score", np.linspace(0.0, 1.0, 50), np.arange(50), 100, 0)
    priors = Profile({"score": values}, {"empty_lists": Share(0, N_USERS)})
    return ReleaseParts(
        DAY, END_US, config, fitted_model, USER_IDS, users, items.vectors, known, table, index, priors, fitted=fitted()
    )  # fmt: skip


def tiny_release(
    directory: Path, config: ReleaseConfig | None = None, of_model: AlsConfig = CONFIG, **changes: Any
) -> Release:
    """A release in `directory`; `changes` replace fields of its parts."""
    write_release(directory, dataclasses.replace(parts(config, of_model), **changes))
    return Release.load(directory)
