"""An overlay whose filters are exact, and one over the tiny release that changes something of everything."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from recsys_pipeline.core.hashing import id_hashes
from recsys_pipeline.core.serving.release import CATALOGUE, MAPPED
from recsys_pipeline_tests.release_fixtures import ITEM_IDS, OFF_SALE


@dataclass(frozen=True)
class Changes:
    """An overlay whose filters are exact."""

    user_ids: list[str] = field(default_factory=list)
    user_vectors: np.ndarray = field(default_factory=lambda: np.empty((0, 6), np.float32))
    item_ids: list[str] = field(default_factory=list)
    item_vectors: np.ndarray = field(default_factory=lambda: np.empty((0, 6), np.float32))
    pairs: frozenset[tuple[str, str]] = frozenset()
    unavailable: frozenset[str] = frozenset()
    available_again: frozenset[str] = frozenset()
    popularity: dict[str, float] = field(default_factory=dict)
    decay: float = 1.0
    trending: tuple[str, ...] = ()

    @property
    def items(self) -> pa.Table:
        """The new items, of the first category and without a price."""
        rows = [{"item_id": name, "title": name.title(), "categories": ["cat-0"], "price": None, "available": True,
                 "created_at": None, "kind": MAPPED, "popularity": 0.0} for name in self.item_ids]  # fmt: skip
        return pa.Table.from_pylist(rows, CATALOGUE)

    def user_rows(self, ids: Sequence[str]) -> np.ndarray:
        """By name."""
        return np.array([self.user_ids.index(name) if name in self.user_ids else -1 for name in ids], np.int64)

    def seen(self, user_ids: Sequence[str], item_ids: Sequence[str]) -> np.ndarray:
        """By name."""
        return np.array([pair in self.pairs for pair in zip(user_ids, item_ids, strict=True)], bool)

    def seen_by(self, user_id: str, item_keys: np.ndarray) -> np.ndarray:
        """By the names whose hashes these are."""
        wanted = id_hashes(sorted(item for user, item in self.pairs if user == user_id))
        return np.isin(item_keys, wanted)


RNG = np.random.default_rng(3)
OVERLAY = Changes(
    user_ids=["newcomer", "user-4"],
    user_vectors=RNG.normal(size=(2, 6)).astype(np.float32),
    item_ids=["fresh-0", "fresh-1"],
    item_vectors=RNG.normal(size=(2, 6)).astype(np.float32),
    pairs=frozenset((user, item) for user in ("user-0", "newcomer") for item in ITEM_IDS[::2]),
    unavailable=frozenset({"item-1", "item-12"}),
    available_again=frozenset({OFF_SALE}),
    popularity={"item-5": 40.0, "fresh-1": 30.0, "not-there": 1.0},
    decay=0.5,
)
