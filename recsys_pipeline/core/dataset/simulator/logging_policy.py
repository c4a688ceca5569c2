"""The policy that ranked the shop's lists: popular, personal and explored items, with exact propensities."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from recsys_pipeline.core.dataset.simulator.catalogue import STYLES, Items
from recsys_pipeline.core.dataset.simulator.config import SimulatorConfig

_STYLE_SHARPNESS = 4.0


@dataclass(frozen=True)
class Slates:
    """Ranked lists: item rows, each one's probability in a single draw, and its probability given those above."""

    items: Int64[np.ndarray, "requests slate"]
    chance: Float64[np.ndarray, "requests slate"]
    propensity: Float64[np.ndarray, "requests slate"]


@dataclass(frozen=True)
class LoggingPolicy:
    """What may be shown during one hour, and how likely each item is to be drawn.

    One draw picks, by the configured shares, an item by popularity, or a style by the user's taste and then an item
    of that style by popularity, or any item on sale. A list is draws without replacement, so the probability of an
    item at position k, given the items above it, is p_i / (1 - Σ_above p_j) (the Plackett-Luce model).
    """

    items: Int64[np.ndarray, " on_sale"]
    style: Int64[np.ndarray, " on_sale"]
    weight: Float64[np.ndarray, " on_sale"]
    cumulative: Float64[np.ndarray, " on_sale"]
    style_first: Int64[np.ndarray, " styles_and_end"]
    popular_share: float
    explore_share: float

    @classmethod
    def at(cls, hour: int, items: Items, config: SimulatorConfig) -> "LoggingPolicy":
        """The policy of this hour; the items on sale are kept in order of style, so that each style is a range."""
        on_sale = np.flatnonzero(items.on_sale(hour))
        order = on_sale[np.argsort(items.style[on_sale], kind="stable")]
        weight = items.popularity(hour)[order]
        style = items.style[order]
        return cls(
            items=order,
            style=style,
            weight=weight,
            cumulative=np.cumsum(weight),
            style_first=np.searchsorted(style, np.arange(len(STYLES) + 1)),
            popular_share=config.popular_share,
            explore_share=config.explore_share,
        )

    def style_probabilities(
        self, taste: Float32[np.ndarray, "requests dim"], styles: Float32[np.ndarray, "styles dim"]
    ) -> Float64[np.ndarray, "requests styles"]:
        """How the personal share of each request is spread over the styles that have anything on sale."""
        odds = np.exp(_STYLE_SHARPNESS * (taste @ styles.T).astype(np.float64)) * (np.diff(self.style_first) > 0)
        return odds / odds.sum(axis=1, keepdims=True)

    def probabilities(
        self, by_style: Float64[np.ndarray, "requests styles"], rows: Int64[np.ndarray, "requests n"]
    ) -> Float64[np.ndarray, "requests n"]:
        """Probability that a single draw of each request gives each of its rows of `items`."""
        personal_share = 1 - self.popular_share - self.explore_share
        style = self.style[rows]
        style_weight = np.bincount(self.style, self.weight, minlength=len(STYLES))
        personal = np.take_along_axis(by_style, style, axis=1) / style_weight[style]
        return self.weight[rows] * (
            self.popular_share / self.cumulative[-1] + personal_share * personal
        ) + self.explore_share / len(self.items)

    def rank(
        self, by_style: Float64[np.ndarray, "requests styles"], slate_size: int, rng: np.random.Generator
    ) -> Slates:
        """One list for each request."""
        slate_size = min(slate_size, len(self.items))
        draws = self._draw(by_style, 2 * slate_size, rng)
        fresh = _first_occurrences(draws)
        while (fresh.sum(axis=1) < slate_size).any():
            draws = np.concatenate([draws, self._draw(by_style, 2 * slate_size, rng)], axis=1)
            fresh = _first_occurrences(draws)
        kept = fresh & (np.cumsum(fresh, axis=1) <= slate_size)
        rows = draws[kept].reshape(len(by_style), slate_size)
        chance = self.probabilities(by_style, rows)
        above = np.cumsum(chance, axis=1) - chance
        return Slates(self.items[rows], chance, np.clip(chance / (1 - above), 0.0, 1.0))

    def _draw(
        self, by_style: Float64[np.ndarray, "requests styles"], n: int, rng: np.random.Generator
    ) -> Int64[np.ndarray, "requests n"]:
        requests = len(by_style)
        which, where, styled = rng.random((3, requests, n))
        style = (styled[:, :, None] > np.cumsum(by_style, axis=1)[:, None, :-1]).sum(axis=2)
        edges = np.concatenate([[0.0], self.cumulative])[self.style_first]
        personal = edges[style] + where * (edges[style + 1] - edges[style])
        target = np.where(which < self.popular_share, where * self.cumulative[-1], personal)
        by_weight = np.searchsorted(self.cumulative, target, side="right")
        explored = (where * len(self.items)).astype(np.int64)
        rows = np.where(which < 1 - self.explore_share, by_weight, explored)
        return np.minimum(rows, len(self.items) - 1)


def _first_occurrences(draws: Int64[np.ndarray, "requests n"]) -> Bool[np.ndarray, "requests n"]:
    """True where a draw does not repeat an earlier draw of its request."""
    order = np.argsort(draws, axis=1, kind="stable")
    ranked = np.take_along_axis(draws, order, axis=1)
    first = np.ones_like(draws, dtype=bool)
    first[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    fresh = np.empty_like(first)
    np.put_along_axis(fresh, order, first, axis=1)
    return fresh
