"""A release: everything that serving needs, in one folder that never changes and is checked when it is opened.

    release.json        day, sizes, settings, and the digest of every other file
    model/              the model that was judged: what histories are folded in against
    users/ items/       ids (`ids.arrow`) and vectors (`vectors.safetensors`), row by row
    index/              search over the items on sale
    catalogue.parquet   one row per item vector: what it is, whether it is on sale, where its vector is from, popularity
    histories/          every user's known pairs
    avoided/            pairs that users asked not to be shown; where there are any
    priors/             what the day looked like: profiles that later hours are compared with
    cold_start/ stl/    what maps a new item, and embeds its photo; where there is one

Large parts are mapped from the disk and small ones read when asked for: opening costs little beside verification, and
loads neither JAX nor a model. `release_parts.py` writes one.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Int32, Int64

from recsys_pipeline.core.configs import stored_config
from recsys_pipeline.core.dataset.events import WEB_LOG, EventMeaning
from recsys_pipeline.core.dataset.schema import TIMESTAMP
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.files import map_arrays
from recsys_pipeline.core.neighbors.index import SearchIndex
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.recommenders import ReleasableRecommender
from recsys_pipeline.core.reports.monitoring.priors import Profile
from recsys_pipeline.core.serving.histories import Histories
from recsys_pipeline.core.serving.id_table import IdTable
from recsys_pipeline.core.serving.release_config import ReleaseConfig, released_model
from recsys_pipeline.core.serving.release_document import DOCUMENT, read_release_document

CATALOGUE_FILE, VECTORS = "catalogue.parquet", "vectors.safetensors"
LEARNED, FOLDED_IN, MAPPED = "learned", "folded_in", "mapped"
HOUR_US = 3_600_000_000
LATER = ("events", "rejected")
"""What releases of earlier versions do not say."""

CATALOGUE = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("categories", pa.list_(pa.string()), nullable=False),
        pa.field("price", pa.float64()),
        pa.field("available", pa.bool_(), nullable=False),
        pa.field("created_at", TIMESTAMP),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("popularity", pa.float32(), nullable=False),
    ]
)
"""One row is an item vector. `kind` says where it is from: `learned` in the fit, `folded_in` from users who took
the item after the fit's last rows, `mapped` from its photo or categories. An item that is not on sale keeps its row."""


@dataclass(frozen=True)
class Release:
    """An open release; arrays are views of its files, everything else is read when first asked for."""

    directory: Path
    day: str
    end_us: int
    config: ReleaseConfig
    n_users: int
    n_items: int
    """Items of the snapshot, which the model has; the first rows of the items."""
    n_items_all: int
    """Those and the items of the catalogue that nobody touched."""
    dim: int
    events: EventMeaning = WEB_LOG
    """What events mean, in its histories and in the overlays over it."""
    rejected: tuple[int, ...] = ()
    """Rows of items that most users who know them turned from: in no list, though the source may have them on sale."""

    @classmethod
    def load(cls, directory: Path, verify: bool = True) -> "Release":
        """Open what `write_release` wrote; `verify=False` trusts the content of files and checks their sizes alone.

        Raises `ArtifactError` naming the file that is missing, corrupt or of another version.
        """
        document = read_release_document(directory, verify)
        config = stored_config(ReleaseConfig, document["config"], f"{directory / DOCUMENT}: config")
        names = [field.name for field in dataclasses.fields(cls) if field.name not in ("directory", "config", *LATER)]
        later = {"events": EventMeaning.of(document.get("events")), "rejected": tuple(document.get("rejected", ()))}
        return cls(directory=directory, config=config, **later, **{name: document[name] for name in names})

    @cached_property
    def model(self) -> ReleasableRecommender:
        """The model that was judged; its items are the first `n_items` rows."""
        return released_model(self.config.model).load(self.directory / "model")

    @cached_property
    def user_vectors(self) -> Float32[np.ndarray, "users dim"]:
        """One row per user, folded in on everything known at the end of the day."""
        return self._vectors("users", self.n_users)

    @cached_property
    def item_vectors(self) -> Float32[np.ndarray, "items dim"]:
        """One row per item of the catalogue table; the dot product with a user's vector is the score."""
        return self._vectors("items", self.n_items_all)

    def _vectors(self, name: str, n: int) -> Float32[np.ndarray, "n dim"]:
        path = self.directory / name / VECTORS
        found = map_arrays(path).get("vectors")
        if found is None or found.dtype != np.float32 or found.shape != (n, self.dim):
            raise ArtifactError(f"{path} holds no {n} × {self.dim} float32 vectors: materialize the release again")
        return found

    @cached_property
    def index(self) -> SearchIndex:
        """Search over the items on sale; its row i is the item `on_sale_rows[i]`."""
        return SearchIndex.load(self.directory / "index")

    @cached_property
    def users(self) -> IdTable:
        """Ids of users."""
        return self._ids("users", self.n_users)

    @cached_property
    def items(self) -> IdTable:
        """Ids of items."""
        return self._ids("items", self.n_items_all)

    def _ids(self, name: str, n: int) -> IdTable:
        found = IdTable.load(self.directory / name)
        if len(found) != n:
            raise ArtifactError(f"{self.directory / name} holds {len(found)} ids, expected {n}: release the day again")
        return found

    def user_rows(self, ids: Sequence[str] | np.ndarray) -> Int64[np.ndarray, " asked"]:
        """The row of each user, −1 for strangers; 10,000 of 300,000 users take 7–20 ms, one 0.3 ms (2 busy cores)."""
        return self.users.rows(ids)

    def item_rows(self, ids: Sequence[str] | np.ndarray) -> Int64[np.ndarray, " asked"]:
        """The row of each item, −1 for items that the release does not have."""
        return self.items.rows(ids)

    @cached_property
    def histories(self) -> Histories:
        """All known pairs of interest, with what each is worth."""
        return Histories.load(self.directory / "histories", self.n_users, self.n_items)

    def history(self, user_rows: Int64[np.ndarray, " asked"]) -> Ratings:
        """What these users (−1: strangers, who have nothing) are known for; users are numbered by their place here."""
        return self.histories.of_users(user_rows)

    @cached_property
    def avoided(self) -> Histories | None:
        """Pairs whose last word is an aversion, in the form of histories; None where nobody said one."""
        folder = self.directory / "avoided"
        return Histories.load(folder, self.n_users, self.n_items) if folder.is_dir() else None

    def withheld(
        self, user_rows: Int64[np.ndarray, " asked"]
    ) -> tuple[Int32[np.ndarray, " pairs"], Int32[np.ndarray, " pairs"]]:
        """(user, item) pairs that these users are not shown: what they know, and what they asked not to see."""
        parts = [found.of_users(user_rows) for found in (self.histories, self.avoided) if found is not None]
        return np.concatenate([part.user for part in parts]), np.concatenate([part.item for part in parts])

    @cached_property
    def catalogue(self) -> pa.Table:
        """One row per item vector; columns as `CATALOGUE`."""
        path = self.directory / CATALOGUE_FILE
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise ArtifactError(f"{path} is not readable ({error}): materialize the release again") from error
        if not table.schema.equals(CATALOGUE) or table.num_rows != self.n_items_all:
            raise ArtifactError(f"{path} has {table.num_rows} rows of {table.schema.names}: release the day again")
        return table

    @cached_property
    def learned(self) -> Bool[np.ndarray, " items"]:
        """Which items the model was fitted on: having taken others says nothing of a user's taste."""
        return self.catalogue["kind"].to_numpy() == LEARNED

    @cached_property
    def on_sale(self) -> Bool[np.ndarray, " items"]:
        """Which items are on sale at the end of the day."""
        return self.catalogue["available"].to_numpy().astype(bool)

    @cached_property
    def on_sale_rows(self) -> Int64[np.ndarray, " on_sale"]:
        """Rows of the items on sale, in order."""
        return np.flatnonzero(self.on_sale)

    @cached_property
    def popularity(self) -> Float32[np.ndarray, " items"]:
        """How many users have an item, each counted 2^(−age / half-life) at the end of the day."""
        return self.catalogue["popularity"].to_numpy()

    @cached_property
    def priors(self) -> Profile:
        """What the day and its lists looked like."""
        return Profile.load(self.directory / "priors")

    @cached_property
    def cold_start(self) -> Any:
        """The `ColdStart` that maps an item that nobody touched; None where the source has no catalogue."""
        from recsys_pipeline.core.learning.cold_start.cold_start import ColdStart  # loads JAX, which few requests need

        folder = self.directory / "cold_start"
        return ColdStart.load(folder) if folder.is_dir() else None

    @cached_property
    def towers(self) -> Any:
        """The `StlModel` that embeds the photo of a new item; None where the source has no looks."""
        from recsys_pipeline.core.models.stl import StlModel  # loads Flax

        folder = self.directory / "stl"
        return StlModel.load(folder) if folder.is_dir() else None


def decayed_popularity(ratings: Ratings, end_us: int, half_life_hours: float) -> Float32[np.ndarray, " items"]:
    """Per item, the sum over users of 2^(−age / half-life) at `end_us`: a user counts once, with the latest time.

    So the same figure `hours` later, without new pairs, is this times 2^(−hours / half-life).
    """
    age_hours = (end_us - ratings.timestamp_us) / HOUR_US
    return np.bincount(ratings.item, np.exp2(-age_hours / half_life_hours), ratings.n_items).astype(np.float32)
