"""How much of what people see changes between two releases."""

import math
from typing import NamedTuple

import numpy as np

from recsys_pipeline.core.serving.recommend import recommend
from recsys_pipeline.core.serving.release import Release


class ChangedLists(NamedTuple):
    """Of users whom both releases know."""

    users: int
    changed: float
    """Share whose list is not the same, order included."""
    new_items: float
    """Mean share of the later list's items that the earlier one does not have; order does not count."""


def changed_lists(earlier: Release, later: Release, n_users: int, seed: int) -> ChangedLists:
    """Compare the lists of at most `n_users` drawn users, of the shorter of both lengths."""
    rows = np.sort(np.random.default_rng(seed).permutation(later.n_users)[:n_users])
    ids = later.users.ids(rows).to_pylist()
    both = [name for name, row in zip(ids, earlier.user_rows(ids), strict=True) if row >= 0]
    if not both:
        return ChangedLists(0, math.nan, math.nan)
    k = min(earlier.config.k, later.config.k)
    before, now = (recommend(release, None, both, k) for release in (earlier, later))
    pairs = [(before.of(user), now.of(user)) for user in range(len(both))]
    fresh = [len(set(new) - set(old)) / len(new) for old, new in pairs if new]
    changed = sum(old != new for old, new in pairs) / len(pairs)
    return ChangedLists(len(both), changed, float(np.mean(fresh)) if fresh else math.nan)
