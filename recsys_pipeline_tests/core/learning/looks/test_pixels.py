"""The product is gone from its scene: cropped away where much is left beside it, blanked otherwise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.learning.looks.pixels import box_pixels, mask_products, mask_products_numpy

SIZE = 12
mask = jax.jit(mask_products)

corner = st.integers(0, 62).map(lambda n: n / 63)
boxes = st.tuples(
    corner, corner, st.integers(1, 64).map(lambda n: n / 64), st.integers(1, 64).map(lambda n: n / 64)
).map(lambda b: np.array([b[0], b[1], min(b[0] + b[2], 1), min(b[1] + b[3], 1)], np.float32))


def scenes(seed: int, n: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, SIZE, SIZE, 3)).astype(np.float32)


@given(found=st.tuples(boxes, boxes, boxes), share=st.floats(0, 1.2), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_no_pixel_inside_the_box_has_any_influence(found: tuple[np.ndarray, ...], share: float, seed: int) -> None:
    box, pixels = np.stack(found), scenes(seed)
    changed = pixels.copy()
    for image, sides in zip(changed, box, strict=True):
        image[box_pixels(sides, SIZE)] = 1e6
    np.testing.assert_array_equal(mask(pixels, box, share), mask(changed, box, share))


@given(found=st.tuples(boxes, boxes, boxes), share=st.floats(0, 1.2), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_masking_equals_its_twin(found: tuple[np.ndarray, ...], share: float, seed: int) -> None:
    box, pixels = np.stack(found), scenes(seed)
    np.testing.assert_allclose(mask(pixels, box, share), mask_products_numpy(pixels, box, share), atol=1e-5)


@pytest.mark.parametrize(
    ("sides", "kept"),
    [
        ([0.5, 0.1, 0.9, 0.9], np.s_[:, :6]),
        ([0.0, 0.1, 0.25, 0.9], np.s_[:, 3:]),
        ([0.1, 0.75, 0.9, 1.0], np.s_[:9, :]),
        ([0.1, 0.1, 0.9, 0.5], np.s_[6:, :]),
    ],
    ids=["left", "right", "above", "below"],
)
def test_the_largest_rectangle_beside_the_box_fills_the_scene(sides: list[float], kept: tuple[slice, slice]) -> None:
    pixels = scenes(1)
    box = np.tile(np.array(sides, np.float32), (3, 1))
    expected = jax.image.resize(jnp.asarray(pixels[(slice(None), *kept)]), pixels.shape, "bilinear")
    np.testing.assert_allclose(mask(pixels, box, 0.5), expected, atol=1e-5)


def test_a_crop_is_taken_at_exactly_the_smallest_share_and_blanking_below_it() -> None:
    pixels = scenes(2)
    box = np.tile(np.array([0.5, 0, 1, 1], np.float32), (3, 1))
    blanked = pixels.copy()
    blanked[:, :, 6:] = 0
    np.testing.assert_array_equal(mask(pixels, box, 0.51), blanked)
    assert not (np.asarray(mask(pixels, box, 0.5)) == 0).any()


def test_a_share_above_one_always_blanks_and_a_box_of_nan_changes_nothing() -> None:
    pixels = scenes(3)
    box = np.array([[0, 0, 0.01, 0.01], [np.nan] * 4, [0, 0, 1, 1]], np.float32)
    blanked = pixels.copy()
    blanked[0, 0, 0], blanked[2] = 0, 0
    np.testing.assert_array_equal(mask(pixels, box, 1.01), blanked)
    np.testing.assert_array_equal(mask(pixels, box, 0.0)[1:], blanked[1:])
