"""Products that do not stand in a scene, drawn without trying and rejecting."""

from typing import Literal

import numpy as np
from jaxtyping import Int, Int32, Int64

from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.errors import DataError

Negatives = Literal["uniform", "same_category", "popularity"]
"""Whence a pair's negatives come: the whole catalogue, the product's category, or its category by popularity."""

POPULARITY_POWER = 0.75
"""Mikolov et al. 2013, "Distributed representations of words and phrases", section 2.2."""

FINEST = 2**32
"""Weight of the most popular product: rounding changes no share by more than a millionth, and sums fit 64 bits."""


def draw_negatives(
    data: LookData,
    rows: Int32[np.ndarray, " pairs"],
    n_negatives: int,
    rng: np.random.Generator,
    strategy: Negatives = "same_category",
    held_out: Int32[np.ndarray, " held_out"] | None = None,
    counts: Int[np.ndarray, " products"] | None = None,
) -> Int32[np.ndarray, "pairs n_negatives"]:
    """Products that are not in the scene of each look row, with replacement.

    - `uniform`: any product of the catalogue
    - `same_category`: any product of the positive's category
    - `popularity`: of the positive's category, with probability ∝ `counts`^0.75 (the looks of each product)

    Products `held_out` are never drawn. Where popularity leaves no product, all of the category are as likely; where
    the scene holds its whole category, all of the catalogue; raises `DataError` where it holds that too.
    """
    allowed = np.ones(len(data.product_ids), np.int64)
    if held_out is not None:
        allowed[held_out] = 0
    everything = np.zeros_like(data.product_category)
    pools = [(everything, allowed)]
    if strategy != "uniform":
        pools.insert(0, (data.product_category, allowed))
    if strategy == "popularity":
        if counts is None:
            raise DataError("negatives by popularity need the counts of products: give counts")
        pools.insert(0, (data.product_category, allowed * _popularity_weights(counts)))
    draws = rng.random((len(rows), n_negatives))
    negatives = np.empty((len(rows), n_negatives), np.int32)
    waiting = np.arange(len(rows))
    for group, weight in pools:
        pool = _Pool(data, group, weight)
        served = pool.free(rows[waiting]) > 0
        now, waiting = waiting[served], waiting[~served]
        negatives[now] = pool.pick(rows[now], draws[now])
        if len(waiting) == 0:
            return negatives
    scene = data.scene_ids[data.scene[rows[waiting[0]]]]
    raise DataError(f"scene {scene!r} holds every product, so it has no negative: add products")


def _popularity_weights(counts: Int[np.ndarray, " products"]) -> Int64[np.ndarray, " products"]:
    """Whole numbers, so that sums and differences of them are exact and no rounding lets a positive in."""
    weight = counts.astype(np.float64) ** POPULARITY_POWER
    return np.round(weight / max(weight.max(), 1.0) * FINEST).astype(np.int64)


class _Pool:
    """Picks products of a group by weight, except those of the row's scene.

    Products lie on a line, group by group, each as long as its weight. A scene's own products are stretches of that
    line; stepping over each of them that starts at or before r turns r into a place among the free products.
    """

    def __init__(
        self, data: LookData, group: Int32[np.ndarray, " products"], weight: Int64[np.ndarray, " products"]
    ) -> None:
        self.layout = np.argsort(group, kind="stable").astype(np.int32)
        place = np.argsort(self.layout, kind="stable")
        self.length = weight[self.layout]
        self.end = np.cumsum(self.length)
        begin = np.concatenate([[0], self.end])
        self.start = begin[np.searchsorted(group[self.layout], np.arange(group.max() + 2))]
        self.group = group[data.product]
        width = int(group.max()) + 1
        key = data.scene.astype(np.int64) * width + self.group
        own = np.unique(np.stack([key, place[data.product]], axis=1), axis=0)
        self.own_from = np.searchsorted(own[:, 0], key, side="left")
        self.own_to = np.searchsorted(own[:, 0], key, side="right")
        self.own_begin, self.own_length = begin[own[:, 1]], self.length[own[:, 1]]
        self.own_sum = np.concatenate([[0], np.cumsum(self.own_length)])

    def free(self, rows: Int32[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """The weight of each row's group that its scene leaves."""
        group = self.group[rows]
        own = self.own_sum[self.own_to[rows]] - self.own_sum[self.own_from[rows]]
        return self.start[group + 1] - self.start[group] - own

    def pick(self, rows: Int32[np.ndarray, " n"], draws: np.ndarray) -> Int32[np.ndarray, "n k"]:
        """Products for uniform `draws` in [0, 1) of shape `[n, k]`."""
        chosen = self.start[self.group[rows]][:, None] + (draws * self.free(rows)[:, None]).astype(np.int64)
        first, n_own = self.own_from[rows], (self.own_to - self.own_from)[rows]
        for step in range(int(n_own.max(initial=0))):
            at = np.minimum(first + step, len(self.own_begin) - 1)
            passed = (step < n_own)[:, None] & (self.own_begin[at][:, None] <= chosen)
            chosen += passed * self.own_length[at][:, None]
        return self.layout[np.searchsorted(self.end, chosen, side="right")]
