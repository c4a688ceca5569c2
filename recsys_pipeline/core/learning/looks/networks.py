"""From an architecture to weights and back: networks as pure dictionaries of arrays beside a static graph."""

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
from flax import nnx

from recsys_pipeline.core.learning.looks.compatibility import LookTowers
from recsys_pipeline.core.learning.looks.towers import Architecture
from recsys_pipeline.core.learning.looks.towers.backbone import load_backbone


@dataclass(frozen=True)
class Network:
    """The static part of the towers, by which compiled functions are found again."""

    graph: Any
    precision: str

    def towers(self, params: Any, batch_stats: Any) -> LookTowers:
        """The towers as an object; where they compute in `bfloat16`, with weights rounded to it.

        Gradients go through the rounding to the `float32` weights; running statistics stay `float32`.
        """
        rounded = jax.tree.map(lambda weight: weight.astype(self.precision), params)
        return nnx.merge(self.graph, nnx.State(rounded), nnx.State(batch_stats))


@lru_cache
def network(architecture: Architecture, training: bool) -> Network:
    """The graph of the towers; `training` says whether batch norm uses the batch or its running statistics."""
    towers = nnx.eval_shape(lambda: LookTowers(architecture, jax.random.key(0)))
    towers.train() if training else towers.eval()
    for part in towers.frozen():
        part.eval()
    return Network(nnx.graphdef(towers), architecture.precision)


def init_towers(architecture: Architecture, seed: int, backbone_weights: str = "") -> tuple[Any, Any]:
    """Fresh parameters and batch statistics, as pure dictionaries of arrays; backbones have those of the file."""
    params, stats = _init(architecture, jax.random.key(seed))
    for tower in ("scene", "product") if backbone_weights else ():
        if tower in params:
            old = params[tower]["net"], stats[tower].get("net", {})
            net_params, net_stats = load_backbone(*old, Path(backbone_weights))
            params[tower]["net"] = net_params
            if net_stats:
                stats[tower]["net"] = net_stats
    return params, stats


@partial(jax.jit, static_argnums=0)
def _init(architecture: Architecture, key: Any) -> tuple[Any, Any]:
    _, params, stats = nnx.split(LookTowers(architecture, key), nnx.Param, nnx.BatchStat)
    return nnx.to_pure_dict(params), nnx.to_pure_dict(stats)
