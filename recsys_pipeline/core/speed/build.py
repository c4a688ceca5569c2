"""The overlay of one hour over one release: what changed since the release's snapshot, and nothing else."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from recsys_pipeline.core.dataset.image_files import ImageReader
from recsys_pipeline.core.errors import DataError, ModelError
from recsys_pipeline.core.hashing import id_hashes, pair_keys
from recsys_pipeline.core.serving.release import CATALOGUE, MAPPED, Release
from recsys_pipeline.core.speed.bloom import BloomFilter
from recsys_pipeline.core.speed.config import OverlayConfig
from recsys_pipeline.core.speed.delta import Delta, delta_of
from recsys_pipeline.core.speed.fold import fold_in_users, merge
from recsys_pipeline.core.speed.new_items import CatalogueChange, catalogue_change, map_new_items, unlisted_items
from recsys_pipeline.core.speed.overlay import OverlayParts
from recsys_pipeline.core.speed.popularity import popularity_table
from recsys_pipeline.core.time import HOUR_KEY, Window, microseconds


@dataclass(frozen=True)
class Summary:
    """What an overlay was made of: the figures of its manifest."""

    events: int
    pairs: int
    users: int
    """Users with a new vector."""
    new_users: int
    """Those of them that the release does not have."""
    new_items: int
    went_off_sale: int
    on_sale_again: int
    avoided: int
    photos_failed: int
    hours_since_snapshot: float


def build_overlay(
    release: Release,
    events: pa.Table,
    hour: Window,
    config: OverlayConfig,
    catalogue: pa.Table | None = None,
    images: ImageReader | None = None,
) -> tuple[OverlayParts, Summary]:
    """Everything that the events of the hours from the release's end to the end of `hour` change for serving.

    `catalogue` is the validated catalogue at the end of the hour; without one, items that somebody took are taken to
    be on sale. Costs O(events + the touched users' histories + catalogue), not O(release). Raises `DataError` where the
    release's snapshot ends after the hour, or an event lies outside these hours, and `ModelError` where a vector is
    not finite.
    """
    end_us = microseconds(hour.end)
    if release.end_us > end_us:
        raise DataError(f"the release of {release.day} ends after {hour.end.isoformat()}: take an earlier champion")
    delta = delta_of(events, release.end_us, end_us, release.events)
    merged = merge(release, delta)
    touched, user_vectors = fold_in_users(release, delta, merged)
    change = _change(release, delta, catalogue)
    item_vectors, photos_failed = map_new_items(release, change.new, images)
    _check_finite("user", user_vectors)
    _check_finite("item", item_vectors)
    seen, avoid = _filters(delta, config)
    user_ids = delta.user_ids[touched]
    popularity = popularity_table(release, delta, merged, config.trending_half_life_hours)
    parts = OverlayParts(
        hour=hour.start.strftime(HOUR_KEY), end_us=end_us, config=config, user_ids=user_ids,
        user_vectors=user_vectors, items=_items(change.new, popularity), item_vectors=item_vectors,
        popularity=popularity, availability=_availability(change),
        seen=seen, avoid=avoid,
    )  # fmt: skip
    summary = Summary(
        events=delta.n_events, pairs=len(delta.value), users=len(user_ids),
        new_users=int((release.user_rows(user_ids) < 0).sum()), new_items=len(item_vectors),
        went_off_sale=len(change.off_sale), on_sale_again=len(change.on_sale_again), avoided=len(delta.avoided.user),
        photos_failed=photos_failed, hours_since_snapshot=(end_us - release.end_us) / 3_600_000_000,
    )  # fmt: skip
    return parts, summary


def _change(release: Release, delta: Delta, catalogue: pa.Table | None) -> CatalogueChange:
    if catalogue is not None:
        return catalogue_change(release, catalogue)
    taken = delta.item_ids[np.unique(delta.taken.item)]
    return CatalogueChange(unlisted_items(release, taken.tolist()), [], [])


def _check_finite(subject: str, vectors: Float32[np.ndarray, "n dim"]) -> None:
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise ModelError(f"{subject} vector {row} of the overlay is not finite: the release's model did not converge")


def _items(new: pa.Table, popularity: pa.Table) -> pa.Table:
    """The new items as rows of a catalogue; what is not known of them is null or empty."""
    counts = dict(zip(*(popularity[name].to_pylist() for name in ("item_id", "popularity")), strict=True))
    n, ids = new.num_rows, new.column("item_id").to_pylist()
    columns: dict[str, pa.Array | pa.ChunkedArray] = {field.name: pa.nulls(n, field.type) for field in CATALOGUE}
    columns |= {"title": pa.array([""] * n, pa.string())}
    columns |= {name: new.column(name) for name in CATALOGUE.names if name in new.column_names}
    categories = [names or [] for names in new.column("categories").to_pylist()]
    columns |= {
        "categories": pa.array(categories, pa.list_(pa.string())),
        "available": pa.array([True] * n, pa.bool_()),
        "kind": pa.array([MAPPED] * n, pa.string()),
        "popularity": pa.array([counts.get(item, 0.0) for item in ids], pa.float32()),
    }
    return pa.table(columns).cast(CATALOGUE)


def _availability(change: CatalogueChange) -> pa.Table:
    ids = [*change.off_sale, *change.on_sale_again]
    available = [False] * len(change.off_sale) + [True] * len(change.on_sale_again)
    return pa.table({"item_id": pa.array(ids, pa.string()), "available": pa.array(available, pa.bool_())})


def _filters(delta: Delta, config: OverlayConfig) -> tuple[BloomFilter, BloomFilter]:
    """Of what was taken, and of what is to be avoided."""
    users, items = id_hashes(delta.user_ids), id_hashes(delta.item_ids)
    keys = (pair_keys(users[pairs.user], items[pairs.item]) for pairs in (delta.taken, delta.avoided))
    seen, avoid = (BloomFilter.of(of_pairs, config.false_positive_rate) for of_pairs in keys)
    return seen, avoid
