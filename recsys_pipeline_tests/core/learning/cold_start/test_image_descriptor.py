"""A fixed description of photos: of each alone, and alike where photos are alike."""

import numpy as np

from recsys_pipeline.core.learning.cold_start.image_descriptor import (
    AT_ONCE,
    DESCRIPTOR_SIZE,
    PHOTO_SIDE,
    describe_photos,
)


def striped(colour: tuple[int, int, int], across: bool, shift: int = 0) -> np.ndarray:
    """Bars on white, upright or lying."""
    photo = np.full((PHOTO_SIDE, PHOTO_SIDE, 3), 255, np.uint8)
    for start in range(8 + shift, PHOTO_SIDE, 16):
        bar = photo[start : start + 6] if across else photo[:, start : start + 6]
        bar[:] = colour
    return photo


RED, BLUE = (200, 20, 20), (20, 20, 200)


def test_what_looks_alike_is_described_alike() -> None:
    photos = np.stack([striped(RED, False), striped(RED, False, 2), striped(RED, True), striped(BLUE, True)])
    cosines = describe_photos(photos) @ describe_photos(photos[:1])[0]
    assert cosines[0] > cosines[1] > cosines[2] > cosines[3], "moved a little, turned, and turned in another colour"


def test_a_photo_is_described_by_itself_alone() -> None:
    photos = np.random.default_rng(0).integers(0, 256, (AT_ONCE + 3, 16, 16, 3), np.uint8)
    together = describe_photos(photos)
    for row in (0, AT_ONCE - 1, AT_ONCE, AT_ONCE + 2):
        np.testing.assert_array_equal(describe_photos(photos[row : row + 1])[0], together[row])


def test_descriptions_have_length_one_and_pictures_of_one_colour_no_edges() -> None:
    grey = np.full((1, PHOTO_SIDE, PHOTO_SIDE, 3), 128, np.uint8)
    busy = np.random.default_rng(1).integers(0, 256, (1, PHOTO_SIDE, PHOTO_SIDE, 3), np.uint8)
    lengths = np.linalg.norm(describe_photos(np.concatenate([grey, busy])).astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, [(2 / 3) ** 0.5, 1.0], rtol=1e-5)
    assert describe_photos(np.empty((0, 64, 64, 3), np.uint8)).shape == (0, DESCRIPTOR_SIZE)
