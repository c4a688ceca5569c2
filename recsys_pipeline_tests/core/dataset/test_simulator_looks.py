"""The marketplace's pictures: style shows in texture, hardly in colour."""

import io
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from PIL import Image

from recsys_pipeline.core.dataset.schema import LOOKS, validate_looks
from recsys_pipeline.core.dataset.simulator import SIZES, Simulator
from recsys_pipeline.core.dataset.simulator.catalogue import STYLES
from recsys_pipeline.core.errors import SourceError

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop() -> Simulator:
    return Simulator(SIZES["tiny"], seed=1)


def pixels(source: Simulator, reference: str) -> np.ndarray:
    image = Image.open(io.BytesIO(source.image(reference)))
    assert image.format == "PNG"
    return np.asarray(image)


def test_looks_meet_the_contract_and_grow(shop: Simulator) -> None:
    early, late = shop.looks(START), shop.looks(START + timedelta(days=20))
    assert late.schema.equals(LOOKS)
    assert validate_looks(late).quarantine.num_rows == 0
    assert late.slice(0, early.num_rows).equals(early)
    assert len(set(early["scene_id"].to_pylist())) == SIZES["tiny"].n_scenes
    assert len(set(late["scene_id"].to_pylist())) == SIZES["tiny"].n_scenes + 20 * SIZES["tiny"].scenes_per_day


def test_scenes_hold_few_products_of_one_style_and_different_categories() -> None:
    source = Simulator(SIZES["demo"])
    looks = source.looks(START).to_pandas()
    items = source._catalogue.until(0)
    looks["style"] = items.style[looks["product_id"].str[1:].astype(int)]
    scenes = looks.groupby("scene_id")
    assert scenes.size().between(3, 5).all()
    assert 3.7 < scenes.size().mean() < 4.3
    assert (scenes["style"].nunique() == 1).all()
    assert (scenes["category"].nunique() == scenes.size()).all()


@pytest.mark.parametrize("days", [-20, 0, 12.4])
def test_looks_show_only_what_exists(shop: Simulator, days: float) -> None:
    as_of = START + timedelta(days=days)
    looks, items = shop.looks(as_of), shop.items(as_of)
    assert set(looks["product_id"].to_pylist()) <= set(items["item_id"].to_pylist())
    assert set(looks["product_image"].to_pylist()) <= set(items["image"].to_pylist())


def test_boxes_are_large_enough_to_see_textures(shop: Simulator) -> None:
    boxes = np.array(shop.looks(START)["bbox"].to_pylist())
    sides = boxes[:, 2:] - boxes[:, :2]
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert sides.min() * 64 >= 22


def test_images_decode_and_are_the_same_each_time(shop: Simulator) -> None:
    look = shop.looks(START + timedelta(days=9)).to_pylist()[-1]
    assert pixels(shop, look["product_image"]).shape == (96, 96, 3)
    assert pixels(shop, look["scene_image"]).shape == (128, 128, 3)
    again = Simulator(SIZES["tiny"], seed=1)
    assert again.image(look["scene_image"]) == shop.image(look["scene_image"])
    assert again.image(look["product_image"]) == shop.image(look["product_image"])
    assert Simulator(SIZES["tiny"]).image(look["product_image"]) != shop.image(look["product_image"])


@pytest.mark.parametrize("reference", ["products/p1.png", "scenes/p000001.png", "../secret", "scenes/s999999.png"])
def test_unknown_references_are_refused(shop: Simulator, reference: str) -> None:
    with pytest.raises(SourceError, match="has no image"):
        shop.image(reference)


def test_style_shows_in_the_direction_of_edges(shop: Simulator) -> None:
    def upright_share(style: str) -> float:
        items = np.flatnonzero(shop._catalogue.until(0).style == STYLES.index(style))[:8]
        photos = [pixels(shop, f"products/p{item:06d}.png")[24:72, 24:72].mean(axis=2) for item in items]
        across, down = (np.mean([np.abs(np.diff(photo, axis=axis)).mean() for photo in photos]) for axis in (1, 0))
        return float(across / (across + down))

    assert upright_share("nordic") > 0.55 > 0.45 > upright_share("coastal")
