"""From an architecture to the towers' graph and their fresh weights."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax

from recsys_pipeline.core.learning.looks.compatibility import LookTowers
from recsys_pipeline.core.learning.looks.towers import Architecture
from recsys_pipeline.core.learning.looks.towers.backbone import load_backbone
from recsys_pipeline.core.learning.neural.networks import Network, Weights, fresh_weights, graph_of


@dataclass(frozen=True)
class TowersOf:
    """Makes towers of an architecture from a key."""

    architecture: Architecture

    def __call__(self, key: Any) -> LookTowers:
        """Fresh towers."""
        return LookTowers(self.architecture, key)


@lru_cache
def network(architecture: Architecture, training: bool) -> Network:
    """The graph of the towers; `training` says whether batch norm uses the batch or its running statistics."""
    return graph_of(TowersOf(architecture), training, architecture.precision, frozen=LookTowers.frozen)


def init_towers(architecture: Architecture, seed: int, backbone_weights: str = "") -> Weights:
    """Fresh parameters and batch statistics; backbones have those of the file."""
    params, stats = fresh_weights(TowersOf(architecture), jax.random.key(seed))
    for tower in ("scene", "product") if backbone_weights else ():
        if tower in params:
            old = params[tower]["net"], stats[tower].get("net", {})
            net_params, net_stats = load_backbone(*old, Path(backbone_weights))
            params[tower]["net"] = net_params
            if net_stats:
                stats[tower]["net"] = net_stats
    return Weights(params, stats)
