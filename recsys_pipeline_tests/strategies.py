"""Hypothesis strategies that several tests share."""

import numpy as np
from hypothesis import strategies as st

from recsys_pipeline.core.ratings import Ratings


@st.composite
def ratings(draw: st.DrawFn, max_rows: int = 60, max_users: int = 8, max_items: int = 12) -> Ratings:
    """Small ratings with unique (user, item) pairs and times that tie often."""
    n_users = draw(st.integers(1, max_users))
    n_items = draw(st.integers(1, max_items))
    pairs = draw(
        st.lists(
            st.tuples(st.integers(0, n_users - 1), st.integers(0, n_items - 1)),
            unique=True,
            min_size=2,
            max_size=max_rows,
        )
        if n_users * n_items >= 2
        else st.just([(0, 0)])
    )
    times = draw(st.lists(st.integers(0, 20), min_size=len(pairs), max_size=len(pairs)))
    values = draw(st.lists(st.integers(1, 5), min_size=len(pairs), max_size=len(pairs)))
    return Ratings(
        user=np.array([user for user, _ in pairs], np.int32),
        item=np.array([item for _, item in pairs], np.int32),
        value=np.array(values, np.float32),
        timestamp_us=np.array(times, np.int64) * 3_600_000_000,
        n_users=n_users,
        n_items=n_items,
    )
