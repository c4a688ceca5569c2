"""Every user's known pairs, grouped by user and mapped from the disk: reading some users costs only their rows."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.files import map_arrays, save_arrays
from recsys_pipeline.core.ratings import Ratings

FILE = "histories.safetensors"
COLUMNS = {"item": np.int32, "value": np.float32, "timestamp_us": np.int64}


@dataclass(frozen=True)
class Histories:
    """The rows of user u are `starts[u]` to `starts[u + 1]`, sorted by time and item."""

    starts: Int64[np.ndarray, " users_and_end"]
    item: Int32[np.ndarray, " rows"]
    value: Float32[np.ndarray, " rows"]
    timestamp_us: Int64[np.ndarray, " rows"]
    fitted: Bool[np.ndarray, " rows"]
    """Rows that the model was fitted on; it may be judged on the others alone."""
    n_items: int

    @classmethod
    def of(cls, ratings: Ratings, fitted: Bool[np.ndarray, " rows"] | None = None) -> "Histories":
        """The rows of all users, whatever their order; all were fitted where that is not said."""
        order = np.lexsort((ratings.item, ratings.timestamp_us, ratings.user))
        counts = np.bincount(ratings.user, minlength=ratings.n_users)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        columns = {name: getattr(ratings, name)[order] for name in COLUMNS}
        known = np.ones(len(ratings), bool) if fitted is None else fitted[order]
        return cls(starts=starts, **columns, fitted=known, n_items=ratings.n_items)

    def __len__(self) -> int:
        return len(self.item)

    @property
    def n_users(self) -> int:
        """How many users there are, with or without rows."""
        return len(self.starts) - 1

    @cached_property
    def usual_value(self) -> float:
        """The median of a pair's value, over 100,000 of them: what a pair counts of which only the item is told."""
        return float(np.median(self.value[:: max(1, len(self) // 100_000)])) if len(self) else 1.0

    def of_user(self, user: int) -> tuple[
        Int32[np.ndarray, " rows"], Float32[np.ndarray, " rows"], Int64[np.ndarray, " rows"]
    ]:  # fmt: skip
        """Items, values and times of one user, by time; nothing for −1. Views: it costs nothing."""
        some = slice(self.starts[user], self.starts[user + 1]) if user >= 0 else slice(0, 0)
        return self.item[some], self.value[some], self.timestamp_us[some]

    def of_users(self, users: Int64[np.ndarray, " asked"]) -> Ratings:
        """The rows of these users, who are numbered by their place in `users`; a user of −1 has none.

        This is what folding in takes. Costs O(their rows).
        """
        known = np.maximum(users, 0)
        first = self.starts[known]
        counts = np.where(users < 0, 0, self.starts[known + 1] - first)
        at = np.repeat(np.arange(len(users)), counts)
        rows = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
        columns = {name: getattr(self, name)[rows] for name in COLUMNS}
        return Ratings(user=at.astype(np.int32), **columns, n_users=len(users), n_items=self.n_items)

    def everything(self) -> Ratings:
        """All rows, by user, time and item."""
        user = np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self.starts))
        columns = {name: np.asarray(getattr(self, name)) for name in COLUMNS}
        return Ratings(user=user, **columns, n_users=self.n_users, n_items=self.n_items)

    def save(self, directory: Path) -> None:
        """Write `histories.safetensors`."""
        directory.mkdir(parents=True, exist_ok=True)
        columns = {name: getattr(self, name) for name in (*COLUMNS, "fitted")}
        save_arrays(directory / FILE, {"starts": self.starts, **columns})

    @classmethod
    def load(cls, directory: Path, n_users: int, n_items: int) -> "Histories":
        """Map what `save` wrote; raises `ArtifactError` where it is not of these sizes or of other types."""
        found = map_arrays(directory / FILE)
        wanted = {"starts": np.int64, "fitted": np.bool_, **COLUMNS}
        rows = {len(found[name]) for name in wanted if name in found and name != "starts"}
        if (
            {name: array.dtype.type for name, array in found.items()} != wanted
            or len(rows) != 1
            or len(found["starts"]) != n_users + 1
            or found["starts"][-1] != rows.pop()
        ):
            raise ArtifactError(f"{directory / FILE} holds no histories of {n_users} users: materialize it again")
        return cls(**found, n_items=n_items)
