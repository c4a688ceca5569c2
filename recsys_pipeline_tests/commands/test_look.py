"""What `recsys look` and `recsys similar` print."""

import io

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from recsys_pipeline.commands.showing.showroom import Showcase, Showroom, look_table, similar_table
from recsys_pipeline.core.dataset.shelf import Shelf
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline_tests.look_fixtures import look_data

DATA = look_data(n_scenes=4, n_products=16)


class ByRow:
    """The higher its row, the better a product suits any scene; products are alike where their rows are near."""

    products = np.stack([np.cos(np.arange(16) / 10), np.sin(np.arange(16) / 10)], axis=1).astype(np.float32)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return np.tile(np.arange(16, dtype=np.float32), (len(rows), 1))

    def scenes(self, rows: np.ndarray) -> np.ndarray:
        return self.products[: len(rows)]

    def score_images(self, images: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        assert np.isnan(boxes).all(), "nothing of the scene is masked"
        return self(images)


def showroom() -> Showroom:
    ids = DATA.product_ids
    columns = {"title": [f"Thing {n}" for n in range(16)], "price": np.full(16, 10.0), "available": np.arange(16) != 15}
    return Showroom("2026-01-05", DATA, Shelf.of(ids, pa.table({"item_id": ids, **columns})), ByRow())


def showcase() -> Showcase:
    room, categories = showroom(), [DATA.categories[at] for at in DATA.product_category]
    return Showcase(room.day, DATA.product_ids, ByRow.products, categories, room.shelf)


def printed(table: object) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_a_look_lacks_nothing_that_the_scene_has_and_keeps_the_budget() -> None:
    text = printed(look_table(showroom(), "s001", None, 5))
    present = {DATA.categories[c] for c in DATA.product_category[DATA.product[DATA.scene == 1]]}
    shown = [line.split("│")[3].strip() for line in text.splitlines() if "│ p0" in line]
    assert sorted(shown) == sorted(set(DATA.categories) - present)
    assert "p015" not in text, "it is sold out"
    assert f"together {10 * len(shown)}.00" in text
    assert "0 products" in printed(look_table(showroom(), "s001", 5.0, 5))


def test_similar_products_are_on_sale_and_nearest_first() -> None:
    shown = [line.split("│")[1].strip() for line in printed(similar_table(showcase(), "p014", 3, False)).splitlines()
             if "│ p0" in line]  # fmt: skip
    assert shown == ["p013", "p012", "p011"]
    same = printed(similar_table(showcase(), "p014", 30, True))
    kin = np.flatnonzero(DATA.product_category == DATA.product_category[14])
    assert same.count("│ p0") == len(set(kin.tolist()) - {14, 15})


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(SettingError, match=r"no scene 'attic' on 2026-01-05: it has 4: s000, s001, s002"):
        look_table(showroom(), "attic", None, 5)
    with pytest.raises(SettingError, match="no product 'x'"):
        similar_table(showcase(), "x", 3, False)
