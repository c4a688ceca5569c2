"""An overlay: what serving needs to know of the hours since a release's snapshot, in one small immutable folder.

    overlay.json        hour, release, sizes, settings, and the digest of every other file
    users/ items/       ids and vectors of users with new interactions and of new items
    items.parquet       the new items, in the columns of a release's catalogue
    popularity.parquet  popularity and trend of every item with new interactions, at the hour's end
    availability.parquet  item_id, available: where it differs from the release
    filters.safetensors  Bloom filters of (user, item) pairs: `seen` since the snapshot, `avoid` by the user's wish

It stands over one release, which it names by digest; its size grows with the users and items that it speaks of, and
not with the release.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Int64, UInt64

from recsys_pipeline.core.configs import parse_config
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.files import map_arrays, save_arrays
from recsys_pipeline.core.hashing import id_hashes, pair_keys, text_hashes
from recsys_pipeline.core.kernels import top_k
from recsys_pipeline.core.serving.id_table import IdTable
from recsys_pipeline.core.serving.release import CATALOGUE, HOUR_US, VECTORS, Release
from recsys_pipeline.core.serving.release import DOCUMENT as RELEASE_DOCUMENT
from recsys_pipeline.core.serving.sealed import seal, unseal
from recsys_pipeline.core.speed.bloom import BloomFilter
from recsys_pipeline.core.speed.config import OverlayConfig
from recsys_pipeline.core.speed.popularity import decay

FORMAT = 2
DOCUMENT, ITEMS, POPULARITY, AVAILABILITY = (
    "overlay.json",
    "items.parquet",
    "popularity.parquet",
    "availability.parquet",
)
FILTERS = "filters.safetensors"
POPULARITY_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("popularity", pa.float32()),
        ("before", pa.float32()),
        ("users", pa.int64()),
        ("trend", pa.float32()),
    ]
)
"""`popularity` at the hour's end, of which `before` is left from the release, and `users` with a new interaction."""
SCHEMAS = {
    ITEMS: CATALOGUE,
    POPULARITY: POPULARITY_SCHEMA,
    AVAILABILITY: pa.schema([("item_id", pa.string()), ("available", pa.bool_())]),
}


@dataclass(frozen=True)
class OverlayParts:
    """What an overlay is written from; rows are in ascending order of ids."""

    hour: str
    end_us: int
    """End of the hour: nothing in the overlay happened at or after it."""
    config: OverlayConfig
    user_ids: Sequence[str] | np.ndarray
    user_vectors: Float32[np.ndarray, "users dim"]
    items: pa.Table
    item_vectors: Float32[np.ndarray, "items dim"]
    popularity: pa.Table
    availability: pa.Table
    seen: BloomFilter
    avoid: BloomFilter


def write_overlay(directory: Path, release: Release, parts: OverlayParts) -> None:
    """Write an overlay; equal parts over equal releases give equal bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    item_ids = parts.items.column("item_id").to_numpy()
    for name, ids, vectors in (("users", parts.user_ids, parts.user_vectors), ("items", item_ids, parts.item_vectors)):
        IdTable.of(ids).save(directory / name)
        save_arrays(directory / name / VECTORS, {"vectors": vectors})
    tables = {ITEMS: parts.items, POPULARITY: parts.popularity, AVAILABILITY: parts.availability}
    for name, table in tables.items():
        pq.write_table(table.cast(SCHEMAS[name]), directory / name, compression="zstd")
    filters = {"seen": parts.seen, "avoid": parts.avoid}
    save_arrays(directory / FILTERS, {name: found.words for name, found in filters.items()})
    document = {
        "format": FORMAT,
        "hour": parts.hour,
        "end_us": parts.end_us,
        "release": {"day": release.day, "end_us": release.end_us, "digest": release_digest(release)},
        "config": dataclasses.asdict(parts.config),
        "n_users": len(parts.user_ids),
        "n_items": parts.items.num_rows,
        "dim": release.dim,
        "popularity_half_life_hours": release.config.popularity_half_life_hours,
        "filters": {name: {"hashes": found.n_hashes, "keys": found.n_keys} for name, found in filters.items()},
    }
    seal(directory, DOCUMENT, document)


def release_digest(release: Release) -> str:
    """Identifies a release by its document, which holds the digests of all of its files."""
    return hashlib.sha256((release.directory / RELEASE_DOCUMENT).read_bytes()).hexdigest()


@dataclass(frozen=True)
class Overlay:
    """An open overlay: vectors are views of its files, tables are read, for they are small."""

    directory: Path
    hour: str
    end_us: int
    """End of the hour."""
    release_day: str
    release_end_us: int
    config: OverlayConfig
    decay: float
    """What is left at the hour's end of one count of popularity at the release's."""
    users: IdTable
    user_vectors: Float32[np.ndarray, "users dim"]
    """Users with new interactions, folded in on their full histories: these replace the release's."""
    items: pa.Table
    """New items; columns as a release's catalogue."""
    item_ids: list[str]
    item_table: IdTable
    item_vectors: Float32[np.ndarray, "items dim"]
    """New items, which compete with those of the release's index."""
    popularity_table: pa.Table
    """One row per item with new interactions; columns as `POPULARITY_SCHEMA`."""
    popularity: dict[str, float]
    """Decayed number of users at the end of the hour, of each item with new interactions."""
    unavailable: frozenset[str]
    """Items of the release that have gone off sale since."""
    available_again: frozenset[str]
    """Items that the release has off sale and that are on sale now."""
    taken_filter: BloomFilter
    """Pairs with an interaction since the snapshot."""
    avoid_filter: BloomFilter
    """Pairs that the user asked not to be shown."""

    @classmethod
    def load(cls, directory: Path, release: Release | None = None, verify: bool = True) -> "Overlay":
        """Open what `write_overlay` wrote; with `release`, only if it stands over that one.

        Raises `ArtifactError` naming the file that is missing, corrupt or of another version.
        """
        document = _document(directory, release, verify)
        below, dim, half_life = (document[name] for name in ("release", "dim", "popularity_half_life_hours"))
        popularity, items = _table(directory, POPULARITY), _table(directory, ITEMS)
        item_ids = items["item_id"].to_pylist()
        return cls(
            directory=directory,
            hour=document["hour"],
            end_us=document["end_us"],
            release_day=below["day"],
            release_end_us=below["end_us"],
            config=parse_config(OverlayConfig, document["config"], f"{directory / DOCUMENT}: config"),
            decay=decay((document["end_us"] - below["end_us"]) / HOUR_US, half_life),
            users=IdTable.load(directory / "users"),
            user_vectors=_vectors(directory / "users" / VECTORS, document["n_users"], dim),
            items=items,
            item_ids=item_ids,
            item_table=IdTable.load(directory / "items"),
            item_vectors=_vectors(directory / "items" / VECTORS, len(item_ids), dim),
            popularity_table=popularity,
            popularity=dict(zip(*(popularity[name].to_pylist() for name in ("item_id", "popularity")), strict=True)),
            unavailable=_on_sale(directory, wanted=False),
            available_again=_on_sale(directory, wanted=True),
            taken_filter=_filter(directory, "seen", document),
            avoid_filter=_filter(directory, "avoid", document),
        )

    def user_rows(self, ids: Sequence[str] | np.ndarray) -> Int64[np.ndarray, " asked"]:
        """The row of each user in `user_vectors`; −1 for users without new interactions."""
        return self.users.rows(ids)

    def item_rows(self, ids: Sequence[str] | np.ndarray) -> Int64[np.ndarray, " asked"]:
        """The row of each new item in `item_vectors`; −1 for all others."""
        return self.item_table.rows(ids)

    def seen(self, user_ids: Sequence[str], item_ids: Sequence[str]) -> Bool[np.ndarray, " pairs"]:
        """Whether each pair must not be shown: taken since the snapshot, or avoided by the user's wish.

        Never a wrong no; a wrong yes for `config.false_positive_rate` of pairs in each of the two filters.
        """
        return self._seen(id_hashes(user_ids), id_hashes(item_ids))

    def seen_by(self, user_id: str, item_keys: UInt64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """`seen` for one user and items by their `id_hashes`."""
        return self._seen(np.repeat(id_hashes([user_id]), len(item_keys)), item_keys)

    def _seen(
        self, users: UInt64[np.ndarray, " pairs"], items: UInt64[np.ndarray, " pairs"]
    ) -> Bool[np.ndarray, " pairs"]:
        keys = pair_keys(users, items)
        return self.taken_filter.has(keys) | self.avoid_filter.has(keys)

    @property
    def user_ids(self) -> list[str]:
        """Ids of the users with a new vector, in order of rows."""
        return self.users.all_ids().to_pylist()

    @property
    def trending(self) -> list[str]:
        """Items that are taken more than their popularity lets expect, the strongest first, equals by hash."""
        ids, trend = self.popularity_table["item_id"].to_pylist(), self.popularity_table["trend"].to_numpy()
        rising = np.where(trend > 0, trend, np.float32(-np.inf))
        places, _ = top_k(rising[None], self.config.n_trending, text_hashes(ids))
        return [ids[place] for place in places[0] if place >= 0]


def _document(directory: Path, release: Release | None, verify: bool) -> dict[str, Any]:
    """The checked document of an overlay that stands over `release`."""
    document = unseal(directory, DOCUMENT, verify)
    path = directory / DOCUMENT
    if document.get("format") != FORMAT:
        raise ArtifactError(f"{path} is of format {document.get('format')}, not {FORMAT}: materialize the hour again")
    if release is not None and document["release"]["digest"] != release_digest(release):
        raise ArtifactError(
            f"{directory} stands over the release of {document['release']['day']}, not over {release.directory}: "
            "materialize speed/overlay over the champion"
        )
    return document


def _vectors(path: Path, n: int, dim: int) -> Float32[np.ndarray, "n dim"]:
    found = map_arrays(path).get("vectors")
    if found is None or found.dtype != np.float32 or found.shape != (n, dim):
        raise ArtifactError(f"{path} holds no {n} × {dim} float32 vectors: materialize the hour again")
    return found


def _table(directory: Path, name: str) -> pa.Table:
    try:
        table = pq.read_table(directory / name)
    except (OSError, pa.ArrowInvalid) as error:
        raise ArtifactError(f"{directory / name} is not readable ({error}): materialize the hour again") from error
    if not table.schema.equals(SCHEMAS[name]):
        raise ArtifactError(f"{directory / name} has columns {table.schema.names}: materialize the hour again")
    return table


def _on_sale(directory: Path, wanted: bool) -> frozenset[str]:
    table = _table(directory, AVAILABILITY)
    return frozenset(table.filter(pa.array(table["available"].to_numpy() == wanted))["item_id"].to_pylist())


def _filter(directory: Path, name: str, document: dict[str, Any]) -> BloomFilter:
    facts = document["filters"][name]
    return BloomFilter(map_arrays(directory / FILTERS)[name], facts["hashes"], facts["keys"])
