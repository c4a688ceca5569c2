"""What a release is written from, and how: `release.py` says what is in its folder."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32

from recsys_pipeline.core.dataset.events import WEB_LOG, EventMeaning
from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.files import save_arrays
from recsys_pipeline.core.learning.cold_start.cold_start import ColdStart
from recsys_pipeline.core.models.stl import StlModel
from recsys_pipeline.core.neighbors.index import SearchIndex
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.recommenders import ReleasableRecommender
from recsys_pipeline.core.reports.monitoring.priors import Profile
from recsys_pipeline.core.serving.histories import Histories
from recsys_pipeline.core.serving.id_table import IdTable
from recsys_pipeline.core.serving.release import CATALOGUE, CATALOGUE_FILE, VECTORS
from recsys_pipeline.core.serving.release_config import ReleaseConfig
from recsys_pipeline.core.serving.release_document import DOCUMENT, FORMAT
from recsys_pipeline.core.serving.sealed import seal


@dataclass(frozen=True)
class ReleaseParts:
    """What a release is written from. Users are `user_ids` by row; items the rows of the catalogue, of which the first
    `histories.n_items` are those of the model."""

    day: str
    end_us: int
    """End of the day: nothing in the release happened at or after it."""
    config: ReleaseConfig
    model: ReleasableRecommender
    user_ids: Sequence[str] | np.ndarray
    user_vectors: Float32[np.ndarray, "users dim"]
    item_vectors: Float32[np.ndarray, "items dim"]
    histories: Ratings
    catalogue: pa.Table
    index: SearchIndex
    """Over the items that are on sale, in the order of their rows."""
    priors: Profile
    cold_start: ColdStart | None = None
    towers: StlModel | None = None
    fitted: Bool[np.ndarray, " rows"] | None = None
    """Rows of `histories` that the model was fitted on; all where this is None."""
    avoided: Ratings | None = None
    """Pairs whose last word is an aversion: users asked not to be shown them, or valued them low."""
    events: EventMeaning = WEB_LOG
    rejected: Sequence[int] | np.ndarray = ()
    """Rows of items that most users who know them turned from: in the catalogue they are not on sale."""

    def __post_init__(self) -> None:
        sizes = {
            "user ids": (len(self.user_ids), self.histories.n_users),
            "user vectors": (len(self.user_vectors), self.histories.n_users),
            "item vectors": (len(self.item_vectors), self.catalogue.num_rows),
            "items of the model": (len(self.model.item_vectors()), self.histories.n_items),
            "indexed items": (self.index.report.n_vectors, int(self.catalogue["available"].to_numpy().sum())),
        }
        for name, (found, wanted) in sizes.items():
            if found != wanted:
                raise DataError(f"release of {self.day}: {found} {name}, expected {wanted}: make all from one snapshot")
        for known in (self.histories, self.avoided):
            if known and known.timestamp_us.max() >= self.end_us:
                raise DataError(f"release of {self.day}: a known pair is later than the end of the day")


def write_release(directory: Path, parts: ReleaseParts) -> None:
    """Write a release; equal parts give equal bytes (the index is stored without its measured speeds)."""
    directory.mkdir(parents=True, exist_ok=True)
    parts.model.save(directory / "model")
    item_ids = parts.catalogue.column("item_id").to_numpy()
    for name, ids, vectors in (("users", parts.user_ids, parts.user_vectors), ("items", item_ids, parts.item_vectors)):
        IdTable.of(ids).save(directory / name)
        save_arrays(directory / name / VECTORS, {"vectors": vectors})
    parts.index.without_speeds().save(directory / "index")
    pq.write_table(parts.catalogue.cast(CATALOGUE), directory / CATALOGUE_FILE, compression="zstd")
    Histories.of(parts.histories, parts.fitted).save(directory / "histories")
    parts.priors.save(directory / "priors")
    wishes = Histories.of(parts.avoided, np.zeros(len(parts.avoided), bool)) if parts.avoided else None
    for name, part in (("avoided", wishes), ("cold_start", parts.cold_start), ("stl", parts.towers)):
        if part is not None:
            part.save(directory / name)
    document = {
        "format": FORMAT,
        "day": parts.day,
        "end_us": parts.end_us,
        "config": dataclasses.asdict(parts.config),
        "n_users": parts.histories.n_users,
        "n_items": parts.histories.n_items,
        "n_items_all": parts.catalogue.num_rows,
        "dim": parts.item_vectors.shape[1],
        "events": parts.events.document(),
        "rejected": [int(row) for row in parts.rejected],
    }
    seal(directory, DOCUMENT, document)
