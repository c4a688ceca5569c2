"""Which product belongs in a scene: hardly to be told from colours, well from textures, learnt on other scenes."""

import io
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

import numpy as np
import pytest
from PIL import Image

from recsys_pipeline.core.dataset.simulator import Simulator, SimulatorConfig

START = datetime(2026, 1, 1, tzinfo=UTC)
GALLERY = SimulatorConfig(n_items=400, n_scenes=140)


def pixels(source: Simulator, reference: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(source.image(reference))))


@cache
def gallery() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scenes with one product masked, and for each that product and another of its category, all 64×64."""
    source, rng = Simulator(GALLERY), np.random.default_rng(0)
    looks = source.looks(START).to_pandas()
    products = {r: shrink(pixels(source, r)) for r in looks["product_image"].unique()}
    scenes = {r: pixels(source, r) for r in looks["scene_image"].unique()}
    masked, others = [], []
    for row in looks.itertuples():
        scene = scenes[row.scene_image].copy()
        left, top, right, bottom = np.rint(np.asarray(row.bbox) * len(scene)).astype(int)
        scene[top:bottom, left:right] = 0
        masked.append(shrink(scene))
        present = looks.loc[looks["scene_id"] == row.scene_id, "product_id"]
        pool = looks[(looks["category"] == row.category) & ~looks["product_id"].isin(present)]
        others.append(products[pool["product_image"].iloc[rng.integers(len(pool))]])
    return np.stack(masked), np.stack([products[r] for r in looks["product_image"]]), np.stack(others)


def shrink(photo: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(photo).resize((64, 64), Image.Resampling.BILINEAR))


def histogram(photo: np.ndarray) -> np.ndarray:
    """Shares of 8×8×8 colours among the pixels that are not masked."""
    bins = (photo.reshape(-1, 3) // 32).astype(int)[photo.reshape(-1, 3).any(axis=1)]
    counts = np.bincount(bins @ [64, 8, 1], minlength=512)
    return counts / counts.sum()


SIMILARITIES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "cosine": lambda a, b: (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1),
    "intersection": lambda a, b: np.minimum(a, b).sum(1),
    "chi-square": lambda a, b: -((a - b) ** 2 / (a + b + 1e-9)).sum(1),
}


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_colours_tell_a_little_and_not_much(similarity: str) -> None:
    scenes, products, others = (np.stack([histogram(photo) for photo in photos]) for photos in gallery())
    right, wrong = (SIMILARITIES[similarity](scenes, photos) for photos in (products, others))
    assert 0.52 < (right > wrong).mean() < 0.68


def texture_energies(photos: np.ndarray) -> np.ndarray:
    """Log mean and spread of the responses to 16 Gabor filters: 4 scales in 4 directions, blind to colour."""
    fy, fx = np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64), indexing="ij")
    log_radius, angle = np.log(np.hypot(fx, fy) + 1e-6), np.arctan2(fy, fx)
    bank = [
        np.exp(-((log_radius - np.log(scale)) ** 2) / 0.25 - (np.angle(np.exp(2j * (angle - turn))) / 2) ** 2 / 0.25)
        for scale in (0.06, 0.1, 0.16, 0.24)
        for turn in np.arange(4) * np.pi / 4
    ]
    spectra = np.fft.fft2(photos.mean(axis=-1, dtype=np.float32) / 255)
    responses = (np.abs(np.fft.ifft2(spectra * filter_.astype(np.float32))) for filter_ in bank)
    moments = [moment(axis=(1, 2)) for response in responses for moment in (response.mean, response.std)]
    return np.log(np.stack(moments, axis=1) + 1e-4)


def whitening(features: np.ndarray) -> np.ndarray:
    covariance = features.T @ features / len(features) + 0.05 * np.eye(features.shape[1])
    return np.linalg.inv(np.linalg.cholesky(covariance)).T


def test_textures_tell_it_in_scenes_never_seen() -> None:
    """A linear map (canonical correlations) learnt on three quarters of the scenes; the ceiling is about .94."""
    scenes, products, others = (texture_energies(photos) for photos in gallery())
    n = len(scenes) * 3 // 4
    mean, scale = products[:n].mean(axis=0), products[:n].std(axis=0)
    products, others = (products - mean) / scale, (others - mean) / scale
    scenes = (scenes - scenes[:n].mean(axis=0)) / scenes[:n].std(axis=0)
    of_scene, of_product = whitening(scenes[:n]), whitening(products[:n])
    left, strength, right = np.linalg.svd(of_scene.T @ (scenes[:n].T @ products[:n] / n) @ of_product)
    wanted = scenes[n:] @ of_scene @ left[:, :7] * strength[:7]
    score = [(wanted * (photos[n:] @ of_product @ right[:7].T)).sum(axis=1) for photos in (products, others)]
    assert (score[0] > score[1]).mean() > 0.8
