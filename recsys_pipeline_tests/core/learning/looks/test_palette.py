"""The tower of colours: what it counts, what it does not, and what its scores mean before training."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.learning.looks.towers import Architecture
from recsys_pipeline.core.learning.looks.towers.palette import AXES, PaletteTower, colour_shares, palette, turn

SHAPE = Architecture(tower="palette", widths=(4,), embedding_size=64, image_size=8)


def seen(pixels: np.ndarray) -> np.ndarray:
    """Vectors, with the running statistics of the start."""
    tower = PaletteTower(SHAPE, nnx.Rngs(0))
    tower.eval()
    return np.asarray(tower(jnp.asarray(pixels, jnp.float32)).vector)


def shares_numpy(pixels: np.ndarray) -> np.ndarray:
    """The readable twin of `colour_shares`, pixel by pixel."""
    found = np.zeros((*pixels.shape[:3], len(palette())))
    for n, y, x in np.ndindex(*pixels.shape[:3]):
        below = pixels[n, y, x] - pixels[n].max(axis=(0, 1))
        apart = [np.sum((np.array([0.4, 1, 1]) * (AXES @ below - colour)) ** 2) for colour in palette()]
        bells = np.exp(-(np.array(apart) - min(apart)) / (2 * 0.3**2))
        found[n, y, x] = np.clip((-below.min() - 0.15) / (0.5 - 0.15), 0, 1) * bells / bells.sum()
    return found


def test_the_counts_are_those_of_the_readable_twin() -> None:
    pixels = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(colour_shares(jnp.asarray(pixels)), shares_numpy(pixels), atol=2e-5)


@given(offset=st.floats(-3, 3), seed=st.integers(0, 9))
def test_the_offset_of_the_pixels_does_not_matter(offset: float, seed: int) -> None:
    pixels = np.random.default_rng(seed).normal(size=(2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(
        colour_shares(jnp.asarray(pixels + np.float32(offset))), colour_shares(jnp.asarray(pixels)), atol=1e-3
    )


def test_a_white_backdrop_counts_nothing_and_a_share_is_of_the_rest() -> None:
    red, white = np.array([0.0, -3.0, -3.0], np.float32), np.zeros(3, np.float32)
    images = np.full((2, 8, 8, 3), white)
    images[0, :2], images[1, :6] = red, red
    small, large = seen(images)
    assert np.linalg.norm(small - large) < 0.1 * np.linalg.norm(large)
    assert (np.asarray(colour_shares(jnp.asarray(images)))[0, 2:] == 0).all()
    assert np.isfinite(seen(np.zeros((1, 8, 8, 3)))).all()


def test_colours_that_differ_are_told_apart() -> None:
    colours = np.array([[0, -3, -3], [-3, 0, -3], [-3, -3, 0], [-3, -3, -3]], np.float32)
    images = np.zeros((4, 8, 8, 3), np.float32)
    images[:, :4] = colours[:, None, None]
    vectors = seen(images)
    alike = vectors @ vectors.T
    assert (alike.argmax(axis=1) == np.arange(4)).all()
    assert (alike - np.diag(np.diag(alike))).max() < 0.5 * np.diag(alike).min()


def test_larger_images_are_sampled() -> None:
    pixels = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(seen(pixels), seen(pixels[:, ::2, ::2]), atol=1e-6)


@pytest.mark.parametrize(("n_in", "n_out"), [(53, 64), (53, 32)])
def test_the_turn_keeps_inner_products_where_there_is_room(n_in: int, n_out: int) -> None:
    matrix = turn(n_in, n_out)
    same = matrix @ matrix.T if n_out >= n_in else matrix.T @ matrix
    np.testing.assert_allclose(same, np.eye(min(n_in, n_out)), atol=1e-6)
    assert turn(n_in, n_out) is matrix
