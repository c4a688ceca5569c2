"""What may be recommended now, and what is known of users: a release with the overlay over it, as one table of rows."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar, cast

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped, UInt64

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.hashing import id_hashes, text_hashes
from recsys_pipeline.core.neighbors.products import products_of_rows
from recsys_pipeline.core.serving.item_columns import ItemColumns
from recsys_pipeline.core.serving.overlay_protocol import Overlay
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.serving.word_index import WordIndex

Made = TypeVar("Made")
Why = Literal["release", "overlay", "popular"]


@dataclass(frozen=True)
class KnownUsers:
    """Users with what is known of them."""

    ids: list[str]
    release_rows: Int64[np.ndarray, " users"]
    vectors: Float32[np.ndarray, "users dim"]
    has_vector: Bool[np.ndarray, " users"]
    """Whether it says anything: of a user who took nothing that the model has learned of, no vector does."""
    why: list[Why]

    @classmethod
    def of(cls, release: Release, overlay: Overlay | None, user_ids: Sequence[str]) -> "KnownUsers":
        ids = list(user_ids)
        rows = release.user_rows(ids)
        vectors = np.zeros((len(ids), release.dim), np.float32)
        vectors[rows >= 0] = release.user_vectors[rows[rows >= 0]]
        history, has_taste = release.history(rows), np.zeros(len(ids), bool)
        has_taste[history.user[release.learned[history.item]]] = True
        fresh = np.full(len(ids), -1, np.int64) if overlay is None else overlay.user_rows(ids)
        if overlay is not None and (fresh >= 0).any():
            vectors[fresh >= 0] = overlay.user_vectors[fresh[fresh >= 0]]
        # The overlay gives a vector of 0 to who has turned from everything that they took.
        has_vector = np.where(fresh >= 0, vectors.any(axis=1), has_taste)
        why: list[Why] = [
            "popular" if not known else "overlay" if new >= 0 else "release"
            for known, new in zip(has_vector, fresh, strict=True)
        ]
        return cls(ids, rows, vectors, has_vector, why)

    def take(self, places: np.ndarray) -> "KnownUsers":
        return KnownUsers(
            [self.ids[place] for place in places],
            self.release_rows[places],
            self.vectors[places],
            self.has_vector[places],
            [self.why[place] for place in places],
        )


@dataclass(frozen=True)
class Offer:
    """What may be recommended now. Items of the overlay have the rows after the release's."""

    release: Release
    overlay: Overlay | None
    on_sale: Int64[np.ndarray, " on_sale"]
    """Rows of everything on sale, ascending."""
    is_on_sale: Bool[np.ndarray, " rows"]
    beside: Int64[np.ndarray, " beside"]
    """Rows on sale that the index does not have: the overlay's items, and those that came back."""
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, release: Release, overlay: Overlay | None, k: int) -> "Offer":
        if k < 1:
            raise SettingError(f"k = {k}: ask for at least one item")
        if overlay is None:
            return cls(release, None, release.on_sale_rows, release.on_sale, np.empty(0, np.int64))
        gone, back = release.item_rows(sorted(overlay.unavailable)), release.item_rows(sorted(overlay.available_again))
        new = np.arange(release.n_items_all, release.n_items_all + len(overlay.item_ids))
        on_sale = np.concatenate([release.on_sale, np.ones(len(new), bool)])
        on_sale[back[back >= 0]] = True
        on_sale[gone[gone >= 0]] = False
        back = np.unique(back[back >= 0])
        beside = np.concatenate([back[~release.on_sale[back] & on_sale[back]], new])
        return cls(release, overlay, np.flatnonzero(on_sale), on_sale, beside)

    @cached_property
    def popularity(self) -> Float32[np.ndarray, " rows"]:
        """Decayed counts now, by row."""
        if self.overlay is None:
            return self.release.popularity
        now = np.zeros(len(self.is_on_sale), np.float32)
        now[: self.release.n_items_all] = self.release.popularity * self.overlay.decay
        names, counts = list(self.overlay.popularity), list(self.overlay.popularity.values())
        rows = self.rows(names)
        now[rows[rows >= 0]] = np.array(counts, np.float32)[rows >= 0]
        return now

    @cached_property
    def tie_key(self) -> UInt64[np.ndarray, " rows"]:
        """What orders items of equal scores, by row."""
        if self.overlay is None:
            return self.release.items.hashes
        return np.concatenate([self.release.items.hashes, text_hashes(self.overlay.item_ids)])

    @cached_property
    def columns(self) -> ItemColumns:
        """What is known of each item, by row."""
        return ItemColumns.of(self.release, self.overlay)

    @cached_property
    def item_keys(self) -> UInt64[np.ndarray, " rows"]:
        """`id_hashes` of each item, by row: what overlays know pairs by."""
        new = [] if self.overlay is None else self.overlay.item_ids
        return np.concatenate([id_hashes(self.release.items.all_ids().to_pylist()), id_hashes(new)])

    @cached_property
    def by_popularity(self) -> Int64[np.ndarray, " on_sale"]:
        """Rows on sale, the most popular first, equals by hash."""
        counts = self.popularity[self.on_sale]
        return self.on_sale[np.lexsort((self.tie_key[self.on_sale], -counts))]

    @cached_property
    def by_age(self) -> Int64[np.ndarray, " dated"]:
        """Rows on sale of which it is known since when there are, the newest first, equals by hash."""
        created_us = self.columns.created_us[self.on_sale]
        dated = self.on_sale[~np.isnan(created_us)]
        return dated[np.lexsort((self.tie_key[dated], -self.columns.created_us[dated]))]

    @cached_property
    def trending(self) -> Int64[np.ndarray, " rising"]:
        """Rows on sale that rise in these hours, the strongest first; none without an overlay."""
        rows = self.rows([] if self.overlay is None else list(self.overlay.trending))
        return rows[(rows >= 0) & self.is_on_sale[rows]]

    @cached_property
    def words(self) -> WordIndex:
        """Over titles and categories; 0.3 s for 41,000 items."""
        columns = self.columns.table.select(["title", "categories"]).to_pylist()
        return WordIndex.of([" ".join([row["title"], *row["categories"]]) for row in columns])

    def unit_vectors(self, rows: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n dim"]:
        """Vectors of rows at length 1, whose products are cosines; 0 stays 0."""
        found = self.vectors(rows)
        length = np.linalg.norm(found, axis=1, keepdims=True)
        return found / np.where(length > 0, length, np.float32(1))

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What a part works out over all items, kept as long as this offer is."""
        if key not in self._made:
            self._made[key] = make()
        return cast(Made, self._made[key])

    def rows(self, item_ids: Sequence[str]) -> Int64[np.ndarray, " asked"]:
        """Rows of ids; −1 for what neither the release nor the overlay has."""
        found = self.release.item_rows(item_ids)
        if self.overlay is not None and (found < 0).any():
            place = self._new_places
            found = [place.get(name, row) if row < 0 else row for name, row in zip(item_ids, found, strict=True)]
        return np.asarray(found, np.int64)

    @cached_property
    def _new_places(self) -> dict[str, int]:
        """Rows of the overlay's items."""
        new = [] if self.overlay is None else self.overlay.item_ids
        return {item: self.release.n_items_all + at for at, item in enumerate(new)}

    def products(self, users: np.ndarray, rows: Int64[np.ndarray, "users some"]) -> tuple[np.ndarray, np.ndarray]:
        """Scores of some rows (−inf for −1) for users' vectors, and the error of a float32 product, as
        `products_of_rows` has them."""
        n = self.release.n_items_all
        products, error = products_of_rows(users, self.release.item_vectors, np.where(rows < n, rows, -1))
        if self.overlay is not None and len(self.overlay.item_ids):
            of_new, their_error = products_of_rows(users, self.overlay.item_vectors, np.where(rows < n, -1, rows - n))
            products, error = np.maximum(products, of_new), np.maximum(error, their_error)
        return products, error

    def dots(self, vector: Float32[np.ndarray, " dim"]) -> Float32[np.ndarray, " rows"]:
        """Products of every row with a vector, as float32 rounds them."""
        found = self.release.item_vectors @ vector
        return found if self.overlay is None else np.concatenate([found, self.overlay.item_vectors @ vector])

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """Vectors of rows, in any shape; −1 reads some vector."""
        n = self.release.n_items_all
        found = self.release.item_vectors[np.minimum(np.maximum(rows, 0), n - 1)]
        if self.overlay is not None and (rows >= n).any():
            found[rows >= n] = self.overlay.item_vectors[rows[rows >= n] - n]
        return found

    def ids(self, rows: Int64[np.ndarray, "users k"]) -> Shaped[np.ndarray, "users k"]:
        """Ids of rows; "" for −1."""
        found = np.full(rows.shape, "", object)
        n, known = self.release.n_items_all, (rows >= 0) & (rows < self.release.n_items_all)
        found[known] = self.release.items.ids(rows[known]).to_numpy()
        if self.overlay is not None:
            found[rows >= n] = [self.overlay.item_ids[row - n] for row in rows[rows >= n]]
        return found

    def seen_since(self, user_ids: Sequence[str], rows: Int64[np.ndarray, " pairs"]) -> Bool[np.ndarray, " pairs"]:
        """Whether the overlay filters each pair."""
        if self.overlay is None or not len(rows):
            return np.zeros(len(rows), bool)
        return self.overlay.seen(list(user_ids), self.ids(rows[:, None])[:, 0].tolist())
