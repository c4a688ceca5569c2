"""The items: styles, categories, prices, popularity, arrival and sell-out, each a closed form of (seed, hour)."""

from dataclasses import dataclass
from datetime import UTC, datetime, time

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Float64, Int64

from recsys_pipeline.core.dataset.schema import ITEMS
from recsys_pipeline.core.dataset.simulator.arrivals import Blocks, Stay, block_of, draw_stay, first_row, join_arrays
from recsys_pipeline.core.dataset.simulator.config import SimulatorConfig
from recsys_pipeline.core.dataset.simulator.streams import Purpose, stream
from recsys_pipeline.core.time import microseconds

STYLES = ("coastal", "nordic", "urban", "retro", "farmhouse", "deco", "terrazzo", "bohemian")
CATEGORIES = ("chair", "table", "lamp", "sofa", "vase", "rug", "bed", "shelf")
EMBEDDING_SIZE = 12
_NAMES = [
    "Alva",
    "Birk",
    "Dorn",
    "Eira",
    "Fell",
    "Holm",
    "Iver",
    "Juni",
    "Lund",
    "Mora",
    "Nord",
    "Oslo",
    "Runa",
    "Tove",
]
_TYPICAL_PRICE = np.array([90.0, 160.0, 45.0, 520.0, 25.0, 110.0, 380.0, 130.0])
_HISTORY_DAYS = (200, 31)
_PRICE_SPREAD = 0.45
_SALE_WEEKS = 9
_SALE_FACTOR = 0.8
_TREND_DAYS = 60.0
_SEASON = 0.35


@dataclass(frozen=True)
class Items:
    """Everything fixed about items `0..n-1`, in order of arrival; hours count from the first day's midnight."""

    stay: Stay
    style: Int64[np.ndarray, " items"]
    category: Int64[np.ndarray, " items"]
    vector: Float32[np.ndarray, "items dim"]
    log_popularity: Float32[np.ndarray, " items"]
    base_price: Float64[np.ndarray, " items"]
    trend_phase: Float32[np.ndarray, " items"]
    buying_phase: Float32[np.ndarray, " items"]
    ids: pa.StringArray

    def __len__(self) -> int:
        return len(self.style)

    def on_sale(self, hour: int) -> Bool[np.ndarray, " items"]:
        """Which items can be bought during the whole of this hour."""
        return (self.stay.arrives <= hour) & (hour < self.stay.leaves)

    def popularity(self, hour: int) -> Float64[np.ndarray, " items"]:
        """How much attention each item draws: a Zipf law whose items trend up and down over two months."""
        trend = 0.4 * np.sin(2 * np.pi * (hour / (24 * _TREND_DAYS) + self.trend_phase))
        return np.exp(self.log_popularity.astype(np.float64) + trend)

    def price(self, hour: int) -> Float64[np.ndarray, " items"]:
        """Price of each item; one week in nine it is on sale."""
        on_sale = (hour // (7 * 24) + np.arange(len(self))) % _SALE_WEEKS == 0
        return np.round(self.base_price * np.where(on_sale, _SALE_FACTOR, 1.0), 2)

    def relative_log_price(self, hour: int) -> Float32[np.ndarray, " items"]:
        """Log of the price over what is usual in the item's category."""
        return np.log(self.price(hour) / _TYPICAL_PRICE[self.category]).astype(np.float32)


def style_vectors(seed: int) -> Float32[np.ndarray, "styles dim"]:
    """One unit vector for each style, orthogonal to all others."""
    basis, _ = np.linalg.qr(stream(seed, Purpose.STYLES).standard_normal((EMBEDDING_SIZE, len(STYLES))))
    return basis.T.astype(np.float32)


def unit_rows(rows: np.ndarray) -> Float32[np.ndarray, "rows dim"]:
    """The rows scaled to length 1."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def season(hours_of_year: float) -> Float32[np.ndarray, " categories"]:
    """Utility that the time of the year adds to each category; each has its own peak."""
    peak = np.arange(len(CATEGORIES)) / len(CATEGORIES)
    return (_SEASON * np.cos(2 * np.pi * (hours_of_year / (24 * 365.25) - peak))).astype(np.float32)


class Catalogue:
    """All items that ever arrive, drawn block by block and kept."""

    def __init__(self, config: SimulatorConfig, seed: int) -> None:
        self._config = config
        self._seed = seed
        self._blocks = Blocks(self._draw, _join)

    def until(self, hour: int) -> Items:
        """Items that arrive up to the end of this hour's day; the rows of an earlier day are a prefix."""
        return self._blocks.until(hour)

    def style_and_category(self, item: int) -> tuple[int, int]:
        """What decides an item's looks, found without drawing any item of another block."""
        sizes = (self._config.n_items, self._config.items_per_day)
        block = block_of(item, *sizes)
        items, row = self._blocks.block(block), item - first_row(block, *sizes)
        return int(items.style[row]), int(items.category[row])

    def table(self, hour: int, start: datetime) -> pa.Table:
        """The catalogue's contract columns as they were during this hour."""
        items = self.until(hour)
        n = int(np.searchsorted(items.stay.arrives, hour, side="right"))
        created_us = items.stay.arrives[:n] * 3_600_000_000 + microseconds(start)
        columns = {
            "item_id": items.ids[:n],
            "title": [title(items, row) for row in range(n)],
            "categories": [[CATEGORIES[category]] for category in items.category[:n]],
            "price": items.price(hour)[:n],
            "available": items.on_sale(hour)[:n],
            "created_at": created_us,
            "image": [product_image(row) for row in range(n)],
        }
        return pa.table(columns, schema=ITEMS)

    def _draw(self, block: int) -> Items:
        config = self._config
        rows = config.n_items if block == 0 else config.items_per_day
        rng = stream(self._seed, Purpose.ITEMS, block)
        stay = draw_stay(rng, block, rows, config.n_items / config.items_per_day, _HISTORY_DAYS)
        style = rng.integers(0, len(STYLES), rows)
        category = rng.integers(0, len(CATEGORIES), rows)
        own = rng.standard_normal((rows, EMBEDDING_SIZE)) / np.sqrt(EMBEDDING_SIZE)
        # The tail u^-s of a uniform u is a power law: the r-th largest of n weights is near (r / n)^-s, Zipf's law.
        log_popularity = -config.zipf_exponent * np.log(rng.uniform(1 / (2 * config.n_items), 1, rows))
        return Items(
            stay=stay,
            style=style,
            category=category,
            vector=unit_rows(style_vectors(self._seed)[style] + 0.6 * own),
            log_popularity=log_popularity.astype(np.float32),
            base_price=np.round(_TYPICAL_PRICE[category] * np.exp(_PRICE_SPREAD * rng.standard_normal(rows)), 2),
            trend_phase=rng.random(rows, np.float32),
            buying_phase=rng.random(rows, np.float32),
            ids=item_ids(0),
        )


def _join(parts: list[Items]) -> Items:
    stay = Stay(**join_arrays([part.stay for part in parts]))
    return Items(stay=stay, ids=item_ids(len(stay.arrives)), **join_arrays(parts))


def item_ids(n: int) -> pa.StringArray:
    """The ids of items `0..n-1`."""
    return pa.array([f"p{row:06d}" for row in range(n)], pa.string())


def product_image(item: int) -> str:
    """The reference under which an item's photo is served."""
    return f"products/p{item:06d}.png"


def title(items: Items, item: int) -> str:
    """A readable name that gives away style and category, as a shop's would."""
    style, category = STYLES[items.style[item]], CATEGORIES[items.category[item]]
    return f"{_NAMES[item % len(_NAMES)]} {item // len(_NAMES) + 1} {style} {category}"


def midnight(config: SimulatorConfig) -> datetime:
    """Hour 0."""
    return datetime.combine(config.start_date, time(), UTC)


def hour_of(moment: datetime, config: SimulatorConfig) -> int:
    """The hour that contains the moment; raises `SettingError` where it is not UTC."""
    return (microseconds(moment) - microseconds(midnight(config))) // 3_600_000_000
