"""Towers: networks that turn images into vectors; one file adds one, found by the `SPEC` that it exports."""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from recsys_pipeline.core.errors import SettingError

BATCH_NORM_MOMENTUM = 0.9
"""Flax's .99 needs some 500 steps to forget its start; short trainings would be evaluated with wrong statistics."""


@dataclass(frozen=True)
class Architecture:
    """All that decides the shape of the networks; hashable, so that what is compiled for one is found again."""

    tower: str
    widths: tuple[int, ...]
    embedding_size: int
    image_size: int
    shared: bool = False
    compatibility: str = "global"
    n_categories: int = 0
    precision: str = "float32"
    backbone: str = ""
    finetune: bool = False


class Seen(NamedTuple):
    """What a tower makes of images: one vector each, and the last feature map before pooling, region by region."""

    vector: Float[Array, "n dim"]
    regions: Float[Array, "n regions channels"]


class Tower(nnx.Module):
    """Base of all towers: called with normalised pixels `[n, size, size, 3]`, it gives `Seen`.

    It may compute in the type of the pixels (`float32` or `bfloat16`); its vectors are `float32`.
    """

    channels: int
    """Of the regions."""

    def __call__(self, pixels: Float[Array, "n size size 3"]) -> Seen:
        """What it makes of the images."""
        raise NotImplementedError

    def frozen(self) -> Sequence[nnx.Module]:
        """Parts that stay in evaluation mode while the rest is trained."""
        return ()


@dataclass(frozen=True)
class TowerSpec:
    """One kind of tower: its name, how it is built, and the number that sides of its images must be a multiple of."""

    name: str
    build: Callable[[Architecture, nnx.Rngs], Tower]
    multiple: int = 1


@cache
def discover_towers() -> dict[str, TowerSpec]:
    """Every `SPEC` exported by a module of this package, by name."""
    package = importlib.import_module(__name__)
    modules = sorted(found.name for found in pkgutil.iter_modules(package.__path__))
    specs: dict[str, TowerSpec] = {}
    for spec in (importlib.import_module(f"{__name__}.{module}").SPEC for module in modules):
        if spec.name in specs:
            raise SettingError(f"two tower files register the name {spec.name!r}")
        specs[spec.name] = spec
    return specs


class Norm(nnx.BatchNorm):
    """Batch norm that computes in float32, whatever comes in, and gives back the type that came in."""

    def __init__(self, n_features: int, *, rngs: nnx.Rngs, use_bias: bool = True) -> None:
        super().__init__(n_features, momentum=BATCH_NORM_MOMENTUM, use_bias=use_bias, rngs=rngs)

    def __call__(self, x: Any, **options: Any) -> Any:
        """The normalised `x`."""
        return super().__call__(x, **options).astype(x.dtype)


class StatisticsHead(nnx.Module):
    """Vectors from the mean and spread of every channel of every map: batch norm and a linear layer."""

    def __init__(self, n_channels: int, embedding_size: int, rngs: nnx.Rngs) -> None:
        self.norm = Norm(2 * n_channels, rngs=rngs)
        self.linear = nnx.Linear(2 * n_channels, embedding_size, rngs=rngs)
        # Embeddings start near length 1, where margin and soft unit norm expect them, whatever their size.
        self.scale = embedding_size**-0.5

    def __call__(self, maps: Sequence[Array]) -> Float[Array, "n dim"]:
        statistics = []
        for x in maps:
            exact = x.astype(jnp.float32)
            statistics += [exact.mean(axis=(1, 2)), jnp.sqrt(exact.var(axis=(1, 2)) + 1e-4)]
        return self.scale * self.linear(self.norm(jnp.concatenate(statistics, axis=1)))


def as_regions(maps: Float[Array, "n h w channels"]) -> Float[Array, "n regions channels"]:
    """A feature map as a list of its places."""
    n, h, w, channels = maps.shape
    return maps.reshape(n, h * w, channels)


def space_to_depth(x: Float[Array, "n h w c"], patch: int) -> Float[Array, "n h2 w2 c2"]:
    """Fold each `patch`×`patch` square of pixels into the channels."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // patch, patch, w // patch, patch, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, h // patch, w // patch, patch * patch * c)
