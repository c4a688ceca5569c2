"""Scene to look: from scores of all products to a few that are shown together, at most one of each category.

Filter (what is sold out, what the scene has, what the budget cannot buy), then choose. Without a budget that is a hard
rank: the best of each category, the best of these. With one it is a multiple-choice knapsack, solved exactly.
"""

import itertools
import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32, Int64, UInt64

from recsys_pipeline.core.errors import DataError, ModelError, SettingError

N_PRODUCTS = 5
UNKNOWN = np.iinfo(np.int64).max
"""Stands for a price that is not known: above every budget, and last among equal scores."""


@dataclass(frozen=True)
class Look:
    """Products that go together with a scene, best first."""

    products: Int32[np.ndarray, " chosen"]
    """Rows of the catalogue."""
    scores: Float32[np.ndarray, " chosen"]
    total_price: float
    """NaN where the price of a product is not known."""

    def __len__(self) -> int:
        return len(self.products)


def recommend_look(
    scores: Float[np.ndarray, " products"],
    categories: Int[np.ndarray, " products"],
    prices: Float64[np.ndarray, " products"] | None = None,
    available: Bool[np.ndarray, " products"] | None = None,
    budget: float | None = None,
    present: Collection[int] = (),
    n_products: int = N_PRODUCTS,
    tie_key: UInt64[np.ndarray, " products"] | None = None,
) -> Look:
    """Up to `n_products` products for a scene, at most one of each category that the scene lacks.

    `present` are the categories that the scene has. Without a `budget`: the best of each category, the best of these
    first. With a budget (in the unit of `prices`, counted in hundredths): of all choices whose prices add up to no
    more, the one with the largest sum of gains, a gain being a score less the lowest score among the candidates; so
    every product adds something, and a budget that buys everything changes nothing. A product whose price is unknown
    (NaN) cannot be promised within a budget and is left out then. Equal scores go to the lower price, then to the
    smaller `tie_key`, or to the lower row where there is none. The look is empty where nothing is left.

    Raises `ModelError` where a score is not finite, `DataError` for a negative or infinite price, `SettingError` for a
    budget that is no amount.

    >>> scores, categories = np.array([0.9, 0.8, 0.5], np.float32), np.array([0, 0, 1])
    >>> recommend_look(scores, categories).products.tolist()
    [0, 2]
    >>> recommend_look(scores, categories, np.array([80.0, 30, 20]), budget=60).products.tolist()
    [1, 2]
    """
    cents = _checked_cents(scores, prices, budget, n_products)
    allowed = ~np.isin(categories, list(present))
    if available is not None:
        allowed &= available
    if budget is not None:
        allowed &= cents <= _whole_cents(budget)
    last = np.arange(len(scores), dtype=np.uint64) if tie_key is None else tie_key
    candidates = np.flatnonzero(allowed).astype(np.int32)
    candidates = candidates[np.argsort(last[candidates], kind="stable")]  # of equals the first stays
    if budget is None:
        chosen = _best_of_each(scores, categories, cents, candidates)[:n_products]
    else:
        fronts = [
            _front(scores, cents, candidates[categories[candidates] == category])
            for category in np.unique(categories[candidates])
        ]
        chosen = _knapsack(scores, cents, fronts, _whole_cents(budget), n_products)
    chosen = chosen[np.lexsort((last[chosen], cents[chosen], -scores[chosen]))]
    total = math.nan if prices is None else float(prices[chosen].sum())
    return Look(chosen.astype(np.int32), scores[chosen].astype(np.float32), total)


def recommend_look_plainly(
    scores: Float[np.ndarray, " products"],
    categories: Int[np.ndarray, " products"],
    prices: Float64[np.ndarray, " products"],
    available: Bool[np.ndarray, " products"],
    budget: float,
    present: Collection[int] = (),
    n_products: int = N_PRODUCTS,
) -> tuple[float, list[int]]:
    """The readable twin of `recommend_look` with a budget: tries every choice, and gives (sum of gains, rows)."""
    candidates = [
        row
        for row in range(len(scores))
        if available[row] and categories[row] not in present and prices[row] <= budget  # NaN is never at most anything
    ]
    lowest = min((float(scores[row]) for row in candidates), default=0.0)
    best: tuple[float, list[int]] = (-1.0, [])
    for size in range(1, n_products + 1):
        for choice in itertools.combinations(candidates, size):
            one_each = len({int(categories[row]) for row in choice}) == size
            if one_each and sum(float(prices[row]) for row in choice) <= budget + 1e-6:
                gain = sum(float(scores[row]) - lowest for row in choice)
                best = max(best, (gain, list(choice)), key=lambda found: found[0])
    return best


def _best_of_each(
    scores: np.ndarray, categories: np.ndarray, cents: np.ndarray, candidates: Int32[np.ndarray, " some"]
) -> Int32[np.ndarray, " categories"]:
    """The best candidate of each category, best first; of equals the earlier candidate."""
    order = candidates[np.lexsort((cents[candidates], -scores[candidates]))]
    _, first = np.unique(categories[order], return_index=True)
    return order[np.sort(first)]


def _front(
    scores: np.ndarray, cents: Int64[np.ndarray, " products"], rows: Int32[np.ndarray, " some"]
) -> Int32[np.ndarray, " front"]:
    """The rows that no other beats in price and score at once, from cheap to dear."""
    return rows[_undominated(cents[rows], scores[rows])]


def _knapsack(
    scores: np.ndarray, cents: Int64[np.ndarray, " products"], fronts: list[np.ndarray], budget: int, n_products: int
) -> Int32[np.ndarray, " chosen"]:
    """The choice of at most one row of each front with the largest sum of gains within budget and number.

    Dynamic programming over lists of undominated (price, gain) per number of products: at most budget + 1 states each.
    Kellerer, Pferschy and Pisinger, "Knapsack Problems", 2004, section 11.5.
    """
    lowest = min((float(scores[front].min()) for front in fronts), default=0.0)
    nothing = _States(np.zeros(1, np.int64), np.zeros(1), np.full((1, len(fronts)), -1, np.int32))
    states = [nothing]
    for at, front in enumerate(fronts):
        gains = scores[front].astype(np.float64) - lowest
        grown = [states[0]]
        for n in range(1, min(len(states), n_products) + 1):
            added = states[n - 1].with_one_of(at, front, cents[front], gains, budget)
            grown.append(added.merged(states[n]) if n < len(states) else added)
        states = grown
    # The lowest of all candidates gains nothing; it stays in the look all the same, since the larger one wins a tie.
    _, size = max((state.gain[-1], size) for size, state in enumerate(states) if len(state.gain))
    chosen = states[size].choice[-1]
    return chosen[chosen >= 0]


@dataclass(frozen=True)
class _States:
    """Undominated choices of one size: price and gain rise together."""

    price: Int64[np.ndarray, " states"]
    gain: Float64[np.ndarray, " states"]
    choice: Int32[np.ndarray, "states fronts"]
    """The row taken from each front, −1 for none."""

    def with_one_of(self, at: int, front: np.ndarray, prices: np.ndarray, gains: np.ndarray, budget: int) -> "_States":
        """Each choice with each row of front number `at` added, as far as the budget goes."""
        price, gain = self.price[:, None] + prices, self.gain[:, None] + gains
        state, option = np.nonzero(price <= budget)
        price, gain = price[state, option], gain[state, option]
        kept = _undominated(price, gain)
        choice = self.choice[state[kept]]
        choice[:, at] = front[option[kept]]
        return _States(price[kept], gain[kept], choice)

    def merged(self, other: "_States") -> "_States":
        """The undominated choices of both."""
        price, gain, choice = (
            np.concatenate(pair)
            for pair in ((self.price, other.price), (self.gain, other.gain), (self.choice, other.choice))
        )
        kept = _undominated(price, gain)
        return _States(price[kept], gain[kept], choice[kept])


def _undominated(price: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Rows that no other beats in price and gain at once, from cheap to dear; of equals the first stays."""
    order = np.lexsort((-gain, price))
    return order[_rising(gain[order])]


def _rising(values: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Which values are above all before them."""
    before = np.concatenate([[-np.inf], np.maximum.accumulate(values)[:-1]]) if len(values) else values
    return values > before


def _checked_cents(
    scores: np.ndarray, prices: np.ndarray | None, budget: float | None, n_products: int
) -> Int64[np.ndarray, " products"]:
    """Prices in hundredths, rounded up so that no budget is ever passed; `UNKNOWN` where there is none."""
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise ModelError(f"the score of product row {row} is {scores[row]}: check the model that made it")
    if n_products < 1:
        raise SettingError(f"n_products = {n_products}: a look has at least one product")
    if budget is not None and not 0 <= budget < math.inf:
        raise SettingError(f"budget = {budget}: give an amount of 0 or more, or none")
    if prices is None:
        if budget is not None:
            raise SettingError("a budget needs prices: give the prices of the products, or no budget")
        return np.full(len(scores), UNKNOWN, np.int64)
    known = ~np.isnan(prices)
    if not ((prices[known] >= 0) & np.isfinite(prices[known])).all():
        row = int(np.flatnonzero(known & ~((prices >= 0) & np.isfinite(prices)))[0])
        raise DataError(f"the price of product row {row} is {prices[row]}: prices are finite and not negative")
    # 0.29 · 100 is a little below 29, and 0.07 · 100 a little above 7: neither is another price.
    cents = np.ceil(np.where(known, prices, 0) * 100 - 1e-6).astype(np.int64)
    return np.where(known, cents, UNKNOWN)


def _whole_cents(budget: float) -> int:
    return math.floor(budget * 100 + 1e-6)
