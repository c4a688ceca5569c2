"""A few new items and the known items that their mapped vectors lie next to: does the map make sense to the eye?"""

from collections.abc import Mapping

import numpy as np

from recsys_pipeline.core.dataset.item_images import ItemImages
from recsys_pipeline.core.hashing import text_hashes
from recsys_pipeline.core.neighbors.exact import exact_top_k
from recsys_pipeline.core.neighbors.vectors import VectorTable
from recsys_pipeline.core.reports.page.page import UserSample
from recsys_pipeline.core.reports.page.samples import ItemCards

N_EXAMPLES, N_NEIGHBOURS = 4, 6


def new_item_examples(
    new: VectorTable, learned: VectorTable, titles: Mapping[str, str], pictures: ItemImages | None
) -> tuple[UserSample, ...]:
    """The new items with the last ids, each with its nearest among the items that the factorisation learned.

    Nearness is the cosine seen from the mean of the learned items, so that what all vectors share (a constant
    dimension, say) does not count. Items that stand in both tables are new.
    """
    is_new = set(new.ids)
    rows = [row for row, name in enumerate(learned.ids) if name not in is_new]
    shown = sorted(range(len(new)), key=new.ids.__getitem__)[-N_EXAMPLES:]
    if not rows or not shown:
        return ()
    known = learned.vectors[rows]
    centre = known.mean(axis=0, dtype=np.float64).astype(np.float32)
    found, scores = exact_top_k(
        _unit(new.vectors[shown] - centre),
        _unit(known - centre),
        min(N_NEIGHBOURS, len(rows)),
        tie_key=text_hashes([learned.ids[row] for row in rows]),
    )
    cards = ItemCards([*(learned.ids[row] for row in rows), *new.ids], titles, pictures)
    samples = []
    for at, near, cosines in zip(shown, found.tolist(), scores.tolist(), strict=True):
        card = cards.card(len(rows) + at)
        note = f"cosine {cosines[0]:.2f} to the nearest, {cosines[-1]:.2f} to the last"
        samples.append(UserSample(card.title, (card,), tuple(cards.card(item) for item in near), note))
    return tuple(samples)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
