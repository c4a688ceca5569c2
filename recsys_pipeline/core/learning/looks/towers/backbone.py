"""A tower around a network of one's own: any Flax NNX module, with its weights as safetensors on disk.

The class is given as `package.module:Class` and built as `Class(rngs=…)`. Called with normalised pixels
`[n, size, size, 3]`, it gives features `[n, features]` or a map `[n, height, width, channels]`, of which the mean is
taken. It may hold parameters and batch statistics, and nothing else that changes (no dropout). Frozen, it stays in
evaluation mode and only the linear layer behind it is trained; `finetune` trains all of it.
"""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float

from recsys_pipeline.core.errors import ArtifactError, ModelError, SettingError
from recsys_pipeline.core.files import load_arrays, save_arrays
from recsys_pipeline.core.learning.looks.towers import Architecture, Norm, Seen, Tower, TowerSpec, as_regions


class BackboneTower(Tower):
    """The given network, and batch norm and a linear layer on its features."""

    def __init__(self, architecture: Architecture, rngs: nnx.Rngs) -> None:
        kind = backbone_class(architecture.backbone)
        self.channels = _channels(kind, architecture)
        self.finetune = architecture.finetune
        self.net = kind(rngs=rngs)
        self.norm = Norm(self.channels, rngs=rngs)
        self.head = nnx.Linear(self.channels, architecture.embedding_size, rngs=rngs)
        self.scale = architecture.embedding_size**-0.5

    def __call__(self, pixels: Float[Array, "n size size 3"]) -> Seen:
        features = self.net(pixels)
        if not self.finetune:
            features = jax.lax.stop_gradient(features)
        maps = features if features.ndim == 4 else features[:, None, None, :]
        pooled = maps.mean(axis=(1, 2), dtype=jnp.float32)
        return Seen(self.scale * self.head(self.norm(pooled)), as_regions(maps))

    def frozen(self) -> Sequence[nnx.Module]:
        """The network itself, unless it is to be trained."""
        return () if self.finetune else (self.net,)


def backbone_class(path: str) -> Any:
    """The class at `package.module:Class`; raises `SettingError` where there is none."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingError(
            f"backbone {path!r} cannot be imported ({error}): give it as package.module:Class"
        ) from error


def save_backbone(net: nnx.Module, path: Path) -> None:
    """Write a network's parameters and batch statistics as safetensors, named by their place (`conv/kernel`)."""
    state = nnx.state(net, nnx.Any(nnx.Param, nnx.BatchStat))
    save_arrays(path, {name: np.asarray(value) for name, value in _named(nnx.to_pure_dict(state))})


def load_backbone(params: Mapping[Any, Any], batch_stats: Mapping[Any, Any], path: Path) -> tuple[Any, Any]:
    """The same parameters and batch statistics of one backbone with the values of the file.

    Raises `ModelError` where the file is missing or broken, and where a name or a shape does not fit.
    """
    try:
        stored = load_arrays(path)
    except ArtifactError as error:
        raise ModelError(
            f"backbone_weights {str(path)!r} cannot be read ({error.__cause__}): give a safetensors file"
        ) from error
    expected = {name: value.shape for tree in (params, batch_stats) for name, value in _named(tree)}
    for what, names in (("lacks", expected.keys() - stored), ("has an unknown", stored.keys() - expected)):
        if names:
            raise ModelError(f"backbone_weights {str(path)!r} {what} array {min(names)!r}: save it from this class")
    for name, shape in expected.items():
        if stored[name].shape != shape:
            raise ModelError(
                f"backbone_weights {str(path)!r}: {name!r} is {list(stored[name].shape)}, the class needs {list(shape)}"
            )

    def value(place: Any, old: Any) -> Any:
        return jnp.asarray(stored[_name(place)], old.dtype)

    return tuple(jax.tree.map_with_path(value, tree) for tree in (params, batch_stats))  # pyright: ignore[reportReturnType]


def _named(tree: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    return [(_name(place), value) for place, value in jax.tree.leaves_with_path(tree)]


def _name(place: Any) -> str:
    return "/".join(str(key.key) for key in place)


def _channels(kind: Any, architecture: Architecture) -> int:
    """How many channels the network gives for images of this size, found without computing anything."""
    net = nnx.eval_shape(lambda: kind(rngs=nnx.Rngs(0)))
    net.eval()
    graph, weights = nnx.split(net)
    image = jax.ShapeDtypeStruct((1, architecture.image_size, architecture.image_size, 3), jnp.float32)
    features = jax.eval_shape(lambda state, pixels: nnx.merge(graph, state)(pixels), weights, image)
    shape = getattr(features, "shape", None)
    if shape is None or len(shape) not in (2, 4):
        found = type(features).__name__ if shape is None else list(shape)
        raise ModelError(f"backbone {architecture.backbone!r} gives {found}, not [n, features] or [n, h, w, channels]")
    return shape[-1]


SPEC = TowerSpec("backbone", BackboneTower)
