"""Examples that people look at: users with their recommendations, scenes with their looks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from jaxtyping import Float32, Int32

from recsys_pipeline.core.dataset.item_images import ItemImages
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.reports.looks.looks import Scorer, recommended_products
from recsys_pipeline.core.reports.page.page import ItemCard, UserSample
from recsys_pipeline.core.reports.page.pictures import Box, LookExample, LookMatch, encode_image

HISTORY_SHOWN = 6
CARD_PIXELS = 72


class ItemCards:
    """Titles and small pictures of items; an item without either is shown by its id."""

    def __init__(self, item_ids: Sequence[str], titles: Mapping[str, str], pictures: ItemImages | None) -> None:
        self.item_ids = item_ids
        self.titles = titles
        self.pictures = pictures
        self.rows = {name: row for row, name in enumerate(pictures.item_ids)} if pictures else {}

    def card(self, item: int, is_hit: bool = False) -> ItemCard:
        """One item as people see it."""
        name = self.item_ids[item]
        image = None
        if self.pictures is not None and name in self.rows:
            image = encode_image(np.asarray(self.pictures.images[self.rows[name]]), CARD_PIXELS)
        return ItemCard(self.titles.get(name, name), image, is_hit)


def read_titles(items_table: Path) -> dict[str, str]:
    """Titles by item id."""
    table = pq.read_table(items_table, columns=["item_id", "title"])
    return dict(zip(table["item_id"].to_pylist(), table["title"].to_pylist(), strict=True))


def user_samples(
    lists: pd.DataFrame,
    model: str,
    fold: Fold,
    user_ids: Sequence[str],
    cards: ItemCards,
    n_users: int,
    seed: int,
    beside: str | None = None,
) -> list[UserSample]:
    """Evaluated users drawn by seed, with their latest history and what the model, and one beside it, recommends."""
    own = lists[lists["model"] == model]
    other = dict(lists[lists["model"] == beside][["user", "items"]].itertuples(index=False))
    drawn = own.sample(min(n_users, len(own)), random_state=seed)
    known = fold.train_and_validation
    samples = []
    for user, items in zip(drawn["user"], drawn["items"], strict=True):
        rows = np.flatnonzero(known.user == user)
        latest = rows[np.argsort(known.timestamp_us[rows], kind="stable")][::-1][:HISTORY_SHOWN]
        chosen = set(fold.test.item[fold.test.user == user].tolist())
        samples.append(
            UserSample(
                user=str(user_ids[user]),
                history=tuple(cards.card(int(item)) for item in known.item[latest]),
                recommended=tuple(cards.card(int(item), int(item) in chosen) for item in items),
                beside=tuple(cards.card(int(item), int(item) in chosen) for item in other.get(user, ())),
                note=f"{len(rows)} known interactions, {len(chosen)} in the test rows",
            )
        )
    return samples


def look_examples(
    scorer: Scorer, data: LookData, rows: Int32[np.ndarray, " pairs"], n_examples: int, n_products: int, seed: int
) -> list[LookExample]:
    """Test pairs drawn by seed, one per scene, with the best products of the same category."""
    _, first = np.unique(data.scene[rows], return_index=True)
    drawn = np.sort(np.random.default_rng(seed).permutation(rows[first])[:n_examples])
    found, scores = recommended_products(scorer, data, drawn, n_products), scorer(drawn)
    return [
        LookExample(
            scene_title=data.scene_ids[data.scene[row]],
            scene=np.asarray(data.scene_images[data.scene[row]]),
            box=_box(data.box[row]),
            product_title=data.product_ids[data.product[row]],
            product=np.asarray(data.product_images[data.product[row]]),
            recommended=tuple(
                LookMatch(
                    data.product_ids[product],
                    np.asarray(data.product_images[product]),
                    float(scores[place, product]),
                    bool(product == data.product[row]),
                )
                for product in found[place]
                if product >= 0
            ),
        )
        for place, row in enumerate(drawn)
    ]


def _box(sides: Float32[np.ndarray, " 4"]) -> Box | None:
    if np.isnan(sides).any():
        return None
    left, top, right, bottom = (float(side) for side in sides)
    return left, top, right, bottom
