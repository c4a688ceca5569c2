"""A factorisation whose item vectors depend on what can be seen of the items, in a known way."""

import numpy as np
import pyarrow as pa

from recsys_pipeline.core.learning.cold_start.cold_start import ItemSpace
from recsys_pipeline.core.learning.cold_start.config import ColdStartConfig
from recsys_pipeline.core.learning.cold_start.features import ItemFeatures, item_features

QUICK = ColdStartConfig(hidden_size=8, epochs=30, batch_size=32, n_folds=2)
CATEGORIES = ("lamp", "rug", "sofa")


def make_items(
    seed: int = 0, n: int = 120, noise: float = 0.1, is_curved: bool = False
) -> tuple[ItemFeatures, ItemSpace]:
    """Photos of 5 dimensions and vectors `[v, 1, c]` of 3 + 2; every tenth item has no photo, item 1 no interaction."""
    rng = np.random.default_rng(seed)
    ids = [f"p{row}" for row in range(n)]
    own = rng.integers(0, len(CATEGORIES), n)
    items = pa.table({"item_id": ids, "categories": [[CATEGORIES[at]] for at in own]})
    with_photo = [row for row in range(n) if row % 10 != 3]
    photos = rng.standard_normal((n, 5))
    seen = np.abs(photos) if is_curved else photos
    truth = seen @ rng.standard_normal((5, 4)) + 0.5 * own[:, None] + noise * rng.standard_normal((n, 4))
    vectors = np.column_stack([truth[:, :3], np.ones(n), truth[:, 3]]).astype(np.float32)
    counts = rng.integers(1, 50, n)
    counts[1] = 0
    users = np.column_stack([rng.standard_normal((30, 3)), np.zeros(30), np.ones(30)]).astype(np.float32)
    features = item_features(ids, items, [ids[row] for row in with_photo], photos[with_photo].astype(np.float32))
    return features, ItemSpace(vectors, users, counts)
