"""New items are mapped from their photos where they have one, else from their categories; a bad photo is told."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from recsys_pipeline.core.dataset.image_files import decode_image
from recsys_pipeline.core.dataset.schema import ITEMS
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.learning.cold_start.features import ItemFeatures
from recsys_pipeline.core.learning.cold_start.image_descriptor import DESCRIPTOR_SIZE, PHOTO_SIDE, describe_photos
from recsys_pipeline.core.models.stl import StlModel
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.speed.new_items import map_new_items
from recsys_pipeline_tests.release_fixtures import tiny_release

NEW = [
    {"item_id": "blue", "title": "", "categories": ["lamp"], "available": True, "image": "blue.png"},
    {"item_id": "broken", "title": "", "categories": ["lamp"], "available": True, "image": "broken.png"},
    {"item_id": "lost", "title": "", "categories": ["chair", "lamp"], "available": True, "image": "lost.png"},
    {"item_id": "plain", "title": "", "categories": None, "available": True, "image": None},
]


class Images:
    """One photo, one file that is none, and nothing else."""

    def image(self, reference: str) -> bytes:
        if reference == "broken.png":
            return b"<html>404</html>"
        if reference != "blue.png":
            raise SourceError(f"no image {reference}")
        buffer = io.BytesIO()
        Image.new("RGB", (9, 9), (0, 0, 200)).save(buffer, "PNG")
        return buffer.getvalue()


class Telling:
    """A mapper whose vectors are the features: the photo's mean colour, then the categories it knows."""

    design = SimpleNamespace(names=("chair", "lamp"), visual_mean=np.zeros(3))

    def vectors(self, features: ItemFeatures) -> np.ndarray:
        return np.hstack([np.nan_to_num(features.visual, nan=-1), features.categories]).astype(np.float32)


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """A release with a mapper that takes photos, and towers that see colours."""
    found, towers = tiny_release(tmp_path), StlModel.__new__(StlModel)
    vars(towers).update(towers=SimpleNamespace(image_size=8), config=SimpleNamespace(embedding_size=3))

    def mean_colours(_: StlModel, images: np.ndarray, categories: list[str]) -> np.ndarray:
        assert categories == ["lamp"]
        return images.mean(axis=(1, 2)).astype(np.float32)

    monkeypatch.setattr(StlModel, "embed_products", mean_colours)
    vars(found).update(towers=towers, cold_start=SimpleNamespace(chosen="m", mappers={"m": Telling()}))
    return found


def table() -> pa.Table:
    return pa.Table.from_pylist(NEW, schema=pa.schema([field.with_nullable(True) for field in ITEMS]))


def test_photos_and_categories_reach_the_mapper(release: Release) -> None:
    vectors, n_failed = map_new_items(release, table(), Images())
    assert vectors.tolist() == [[0, 0, 200, 0, 1], [-1, -1, -1, 0, 1], [-1, -1, -1, 1, 1], [-1, -1, -1, 0, 0]]
    assert n_failed == 2, "neither a broken nor a lost photo passes in silence"


def test_photos_are_described_where_the_release_has_no_towers(release: Release) -> None:
    mapper = Telling()
    mapper.design = SimpleNamespace(names=("chair", "lamp"), visual_mean=np.zeros(DESCRIPTOR_SIZE))
    vars(release).update(towers=None, cold_start=SimpleNamespace(chosen="m", mappers={"m": mapper}))
    vectors, n_failed = map_new_items(release, table(), Images())
    blue = decode_image(Images().image("blue.png"), PHOTO_SIDE)
    np.testing.assert_array_equal(vectors[0, :DESCRIPTOR_SIZE], describe_photos(blue[None])[0])
    assert (vectors[1:, :DESCRIPTOR_SIZE] == -1).all()
    assert n_failed == 2


def test_without_images_categories_decide(release: Release) -> None:
    vectors, n_failed = map_new_items(release, table())
    assert vectors[:, :3].tolist() == [[-1, -1, -1]] * 4
    assert n_failed == 0


def test_no_new_item_is_no_vector(release: Release) -> None:
    vectors, _ = map_new_items(release, table().slice(0, 0), Images())
    assert vectors.shape == (0, release.dim)
