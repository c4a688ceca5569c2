"""Towers and what their scores know of categories: shapes, sharing, backbones of one's own, precision."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.learning.looks.compatibility import (
    CategoryGates,
    LookTowers,
    RegionAttention,
    score_all,
    score_matrix,
)
from recsys_pipeline.core.learning.looks.networks import init_towers, network
from recsys_pipeline.core.learning.looks.towers import Architecture, discover_towers
from recsys_pipeline.core.learning.looks.towers.backbone import save_backbone
from recsys_pipeline.core.learning.neural.networks import Weights

HERE = __name__
SHAPE = Architecture(tower="style", widths=(4, 8), embedding_size=6, image_size=16, n_categories=3)


class SmallNet(nnx.Module):
    """A network as somebody may bring it: a feature map, batch norm inside."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.conv = nnx.Conv(3, 5, (3, 3), strides=4, rngs=rngs)
        self.norm = nnx.BatchNorm(5, rngs=rngs)

    def __call__(self, pixels: Any) -> Any:
        return self.norm(self.conv(pixels))


class FlatNet(SmallNet):
    """As above, pooled."""

    def __call__(self, pixels: Any) -> Any:
        return super().__call__(pixels).mean(axis=(1, 2))


class PairNet(SmallNet):
    """Gives what no tower can be built on."""

    def __call__(self, pixels: Any) -> Any:
        return pixels, pixels


def architecture(tower: str, **changes: Any) -> Architecture:
    backbone = f"{HERE}:SmallNet" if tower == "backbone" else ""
    return replace(SHAPE, tower=tower, backbone=backbone, **changes)


def shapes(architecture: Architecture) -> tuple[Any, Any, Any]:
    """Shapes of a scene's views, of a product's vector and of the parameters, without computing anything."""

    def run(key: Any) -> Any:
        towers = LookTowers(architecture, key)
        views, vectors = towers.both(jnp.zeros((5, 16, 16, 3)), jnp.zeros((7, 16, 16, 3)), jnp.zeros(7, int))
        return views, vectors, nnx.to_pure_dict(nnx.state(towers, nnx.Param))

    return jax.eval_shape(run, jax.random.key(0))


def test_every_file_of_towers_is_found() -> None:
    assert set(discover_towers()) == {"backbone", "book", "palette", "strong", "style"}


@pytest.mark.parametrize("tower", ["backbone", "book", "palette", "strong", "style"])
def test_every_tower_serves_every_compatibility_shared_or_not(tower: str) -> None:
    for compatibility, shared, n_views in (("global", False, 1), ("gated", True, 1), ("local", True, 4)):
        scene, product, params = shapes(architecture(tower, shared=shared, compatibility=compatibility))
        assert (scene.shape, product.shape) == ((5, n_views, 6), (7, 6))
        assert ("scene" in params) == (not shared)
        assert ("gates" in params, "attention" in params) == (compatibility == "gated", compatibility == "local")


def test_strong_is_deeper_and_the_book_has_its_layers() -> None:
    def kernels(tower: str) -> int:
        params = shapes(architecture(tower, shared=True))[2]
        return sum(getattr(leaf, "ndim", 0) == 4 for leaf in jax.tree.leaves(params))

    assert kernels("book") == 2 * 4  # per block two 3×3 and two 1×1 convolutions
    assert kernels("strong") == 2 * (2 * 2 + 1)
    assert kernels("style") == 2 * 3


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backbone") / "small.safetensors"
    net = SmallNet(rngs=nnx.Rngs(3))
    net.norm.mean[...] = jnp.arange(5.0)
    save_backbone(net, path)
    return path


def test_a_backbone_starts_from_its_file(weights: Path) -> None:
    params, stats = init_towers(architecture("backbone"), 0, str(weights))
    stored = load_file(weights)
    assert set(stored) == {"conv/kernel", "conv/bias", "norm/scale", "norm/bias", "norm/mean", "norm/var"}
    for tower in ("scene", "product"):
        np.testing.assert_array_equal(params[tower]["net"]["conv"]["kernel"], stored["conv/kernel"])
        np.testing.assert_array_equal(stats[tower]["net"]["norm"]["mean"], np.arange(5.0))
    assert (params["scene"]["head"]["kernel"] != params["product"]["head"]["kernel"]).any()


def test_weights_that_were_transposed_are_stored_as_they_are(tmp_path: Path) -> None:
    """Weights that come from another library are often a transposed view of its own."""
    net = SmallNet(rngs=nnx.Rngs(3))
    turned = np.arange(135, dtype=np.float32).reshape(5, 3, 3, 3).transpose(2, 3, 1, 0)
    nnx.update(net, nnx.State({"conv": {"kernel": nnx.Param(turned)}}))
    save_backbone(net, tmp_path / "turned.safetensors")
    params, _ = init_towers(architecture("backbone"), 0, str(tmp_path / "turned.safetensors"))
    np.testing.assert_array_equal(params["scene"]["net"]["conv"]["kernel"], turned)


@pytest.mark.parametrize("finetune", [False, True])
def test_a_frozen_backbone_gets_no_gradient_and_keeps_its_statistics(weights: Path, finetune: bool) -> None:
    shape = architecture("backbone", shared=True, finetune=finetune)
    params, stats = init_towers(shape, 0, str(weights))
    graph = network(shape, training=True)
    pixels = jax.random.normal(jax.random.key(0), (6, 16, 16, 3))

    def total(params: Any) -> Any:
        towers = graph.module(Weights(params, stats))
        vectors = towers.product_vectors(pixels, jnp.zeros(6, int))
        return jnp.sum(vectors**3), nnx.to_pure_dict(nnx.state(towers, nnx.BatchStat))

    gradient, after = jax.jit(jax.grad(total, has_aux=True))(params)
    moved = np.abs(gradient["product"]["net"]["conv"]["kernel"]).max() > 0
    assert moved == finetune
    assert np.abs(gradient["product"]["head"]["kernel"]).max() > 0
    same = np.array_equal(after["product"]["net"]["norm"]["mean"], stats["product"]["net"]["norm"]["mean"])
    assert same == (not finetune)


def test_a_backbone_may_give_pooled_features() -> None:
    shape = replace(architecture("backbone", compatibility="local"), backbone=f"{HERE}:FlatNet")
    assert shapes(shape)[0].shape == (5, 4, 6)


def test_wrong_backbones_say_what_is_wrong(weights: Path, tmp_path: Path) -> None:
    for wrong in ("no_such_package:Net", f"{HERE}:NoSuchNet", "without_colon", ""):
        with pytest.raises(SettingError, match=r"package\.module:Class"):
            shapes(replace(architecture("backbone"), backbone=wrong))
    with pytest.raises(ModelError, match="gives tuple"):
        shapes(replace(architecture("backbone"), backbone=f"{HERE}:PairNet"))
    stored = load_file(weights)
    broken = {
        "lacks array 'conv/bias'": {name: a for name, a in stored.items() if name != "conv/bias"},
        "unknown array 'extra'": stored | {"extra": np.zeros(1, np.float32)},
        r"'conv/kernel' is \[1, 1, 3, 5\], the class needs \[3, 3, 3, 5\]": stored
        | {"conv/kernel": stored["conv/kernel"][:1, :1].copy()},
    }
    path = tmp_path / "broken.safetensors"
    for said, arrays in broken.items():
        save_file(arrays, path)
        with pytest.raises(ModelError, match=said):
            init_towers(architecture("backbone"), 0, str(path))
    path.write_bytes(b"half")
    for bad in (path, tmp_path / "absent"):
        with pytest.raises(ModelError, match=f"{bad}.*cannot be read"):
            init_towers(architecture("backbone"), 0, str(bad))


def test_bfloat16_computes_in_it_and_keeps_statistics_and_vectors_exact() -> None:
    exact, rough = (architecture("style", shared=True, precision=name) for name in ("float32", "bfloat16"))
    params, stats = init_towers(exact, 0)
    pixels = jax.random.normal(jax.random.key(0), (6, 16, 16, 3))

    @partial(jax.jit, static_argnums=0)
    def run(shape: Architecture, params: Any, stats: Any) -> tuple[Any, Any, Any]:
        towers = network(shape, training=True).module(Weights(params, stats))
        x = pixels.astype(shape.precision)
        seen = towers.product(x)
        return seen.regions, seen.vector, nnx.to_pure_dict(nnx.state(towers, nnx.BatchStat))

    regions, vector, after = run(rough, params, stats)
    assert (regions.dtype, vector.dtype) == (jnp.bfloat16, jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves(after)} == {jnp.dtype("float32")}
    expected = np.asarray(run(exact, params, stats)[1])
    np.testing.assert_allclose(vector, expected, atol=0.05 * np.abs(expected).max())
    assert (np.asarray(vector) != expected).any()


def test_gates_scale_dimensions_by_category_and_never_turn_them_round() -> None:
    gates = CategoryGates(2, 3)
    vectors = jnp.array([[1.0, 2.0, 3.0]] * 3)
    np.testing.assert_array_equal(gates(vectors, jnp.array([0, 1, -1])), vectors)
    gates.weight[...] = jnp.array([[2.0, 0.0, -5.0], [0.0, 1.0, 1.0]])
    expected = [[2, 0, 0], [0, 2, 3], [1, 1, 1.5]]  # the last: the mean of both gates
    np.testing.assert_allclose(gates(vectors, jnp.array([0, 1, -1])), expected)


def test_attention_is_the_softmax_of_distances_to_the_category() -> None:
    attention = RegionAttention(4, 3, 5, nnx.Rngs(0))
    regions = np.asarray(jax.random.normal(jax.random.key(1), (2, 7, 4)))
    found = np.asarray(attention(jnp.asarray(regions)))
    assert attention.project.bias is not None
    kernel, bias = (np.asarray(part[...]) for part in (attention.project.kernel, attention.project.bias))
    for n in range(2):
        places = attention.scale * (regions[n] @ kernel + bias)
        for c, wanted in enumerate(np.asarray(attention.category[...])):
            weight = np.exp(-np.sum((places - wanted) ** 2, axis=1))
            np.testing.assert_allclose(found[n, c], weight / weight.sum() @ places, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n_views", [1, 4])
def test_scores_take_the_view_of_the_products_category(n_views: int) -> None:
    rng = np.random.default_rng(0)
    scenes = rng.normal(size=(5, n_views, 6)).astype(np.float32)
    products = rng.normal(size=(7, 6)).astype(np.float32)
    category = np.array([0, 1, 2, 2, 1, -1, 0], np.int32)
    expected = [[scenes[s, category[p] if n_views > 1 else 0] @ products[p] for p in range(7)] for s in range(5)]
    np.testing.assert_allclose(score_all(scenes, products, category), expected, rtol=1e-5, atol=1e-6)
    fast = score_matrix(jnp.asarray(scenes), jnp.asarray(products), jnp.asarray(category))
    np.testing.assert_allclose(fast, expected, rtol=1e-5, atol=1e-6)
