"""The lists of many users as a table, and where a user stands to what is served."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from recsys_pipeline.core.serving.offer import Why
from recsys_pipeline.core.serving.recommend import Recommendations, recommend
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.speed.overlay import Overlay

BATCH_USERS = 4096
LISTS = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("why", pa.string(), nullable=False),
    ]
)
"""One row is a place of a user's list, from 0. `why` says what the score is: of `release` and `overlay` an inner
product with the user's vector, of `popular` a decayed count."""


def list_table(lists: Recommendations) -> pa.Table:
    """Rows of `LISTS`, user by user; a list that is shorter has fewer rows, and an empty one none."""
    user, position = np.nonzero(lists.item_ids != "")
    of = [np.asarray(names, object)[user] for names in (lists.user_ids, lists.why)]
    columns = [of[0], position.astype(np.int32), lists.item_ids[user, position], lists.scores[user, position], of[1]]
    return pa.table([pa.array(column, kind.type) for column, kind in zip(columns, LISTS, strict=True)], schema=LISTS)


def every_list(release: Release, overlay: Overlay | None, k: int) -> Iterator[tuple[int, pa.Table]]:
    """(users, their lists) of all users that are known, some at a time: the release's by row, then the overlay's own.

    Holds one batch. Raises `SettingError` for k < 1.
    """
    for users in _users(release, overlay, BATCH_USERS):
        yield len(users), list_table(recommend(release, overlay, users, k))


def count_users(release: Release, overlay: Overlay | None) -> int:
    """How many users `every_list` goes over."""
    return release.n_users + len(_new_users(release, overlay))


def _users(release: Release, overlay: Overlay | None, size: int) -> Iterator[list[str]]:
    known = release.users.all_ids()
    for start in range(0, len(known), size):
        yield known.slice(start, size).to_pylist()
    new = _new_users(release, overlay)
    for start in range(0, len(new), size):
        yield new[start : start + size]


def _new_users(release: Release, overlay: Overlay | None) -> list[str]:
    """Users of the overlay whom the release does not know, in its order."""
    if overlay is None:
        return []
    ids = overlay.user_ids
    return [name for name, row in zip(ids, release.user_rows(ids), strict=True) if row < 0]


@dataclass(frozen=True)
class Standing:
    """Where a user stands to what is served."""

    n_known: int | None
    """Items that the release knows the user for; None for a user whom it does not know."""
    is_folded_in: bool
    """Whether the overlay has the user: with events since the release's end."""
    why: Why | Literal["told"]
    """What the list was made of."""

    @property
    def told(self) -> str:
        """In words."""
        if self.n_known is None:
            who = "folded in by the overlay, new since the release" if self.is_folded_in else "a stranger"
        else:
            items = f"{self.n_known:,} item{'' if self.n_known == 1 else 's'}"
            who = f"known for {items}" + (", folded in again by the overlay" if self.is_folded_in else "")
        return who if self.why != "popular" else f"{who}, of whose taste nothing is known: what is popular"


def standings(
    release: Release, overlay: Overlay | None, user_ids: Sequence[str], why: Sequence[Why | Literal["told"]]
) -> list[Standing]:
    """Where each user of some lists stands, of which `why` says what they were made of."""
    rows = release.user_rows(user_ids)
    counts = np.bincount(release.history(rows).user, minlength=len(rows))
    fresh = np.full(len(rows), -1) if overlay is None else overlay.user_rows(user_ids)
    return [
        Standing(None if row < 0 else int(count), bool(new >= 0), of_list)
        for row, count, new, of_list in zip(rows, counts, fresh, why, strict=True)
    ]


def titles(release: Release, overlay: Overlay | None, item_ids: Sequence[str]) -> list[str]:
    """Titles of items, the release's and the overlay's; "" where there is none."""
    rows = release.item_rows(item_ids)
    known = release.catalogue["title"].take(pa.array(np.maximum(rows, 0))).to_pylist()
    if overlay is None:
        return [title if row >= 0 else "" for title, row in zip(known, rows, strict=True)]
    new = dict(zip(overlay.item_ids, overlay.items["title"].to_pylist(), strict=True))
    return [title if row >= 0 else new.get(item, "") for title, row, item in zip(known, rows, item_ids, strict=True)]
