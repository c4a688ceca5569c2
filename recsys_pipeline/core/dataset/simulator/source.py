"""The marketplace behind the `Source` protocol, and its truth for tests and reports."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Float64, Int64

from recsys_pipeline.core.dataset.events import WEB_LOG
from recsys_pipeline.core.dataset.schema import INTERACTIONS
from recsys_pipeline.core.dataset.simulator import behaviour
from recsys_pipeline.core.dataset.simulator.audience import Audience
from recsys_pipeline.core.dataset.simulator.behaviour import Hour
from recsys_pipeline.core.dataset.simulator.catalogue import Catalogue, hour_of, midnight, style_vectors
from recsys_pipeline.core.dataset.simulator.config import SimulatorConfig
from recsys_pipeline.core.dataset.simulator.logging_policy import LoggingPolicy
from recsys_pipeline.core.dataset.simulator.photography import product_photo, scene_photo
from recsys_pipeline.core.dataset.simulator.scenes import Gallery
from recsys_pipeline.core.dataset.source_meaning import SourceMeaning
from recsys_pipeline.core.dataset.sources import DayRange
from recsys_pipeline.core.errors import DataError, SettingError, SourceError
from recsys_pipeline.core.time import Window, microseconds

VERSION = 1
"""Rises whenever the same config and seed begin to give other data."""

_REFERENCE = re.compile(r"(products/p|scenes/s)(\d{6})\.png")
# A reference to something that arrives after ten years is taken for a mistake, not rendered.
_HORIZON_DAYS = 3_653
_HOUR = timedelta(hours=1)
_INSTANT = timedelta(microseconds=1)

Ids = Sequence[str] | Sequence[int] | np.ndarray


class Simulator:
    """A marketplace with known truth: any hour can be produced by itself, with the same bytes each time.

    `propensity` is the logged probability that the policy chose this item for this position, given the user, the hour
    and the items above it in the list: Plackett-Luce, exact. At position 0 it is the plain probability of the item
    being shown first; multiplied from position 0 to k within a `request_id` it is the probability of the list down to
    k, which the cascade and slate estimators divide by. It says nothing of attention: `examination(position)` does.

    >>> from recsys_pipeline.core.dataset.simulator import SIZES, Simulator
    >>> from recsys_pipeline.core.time import Window
    >>> shop = Simulator(SIZES["tiny"], seed=7)
    >>> shop.interactions(Window.of_day(shop.config.start_date)).schema.names[:3]
    ['user_id', 'item_id', 'event']
    """

    provides = frozenset({"interactions", "items", "looks"})

    def __init__(self, config: SimulatorConfig, seed: int = 0) -> None:
        if seed < 0:
            raise SettingError(f"simulator seed is {seed}, must be 0 or more")
        self.config = config
        self.seed = seed
        self.name = f"simulator-{config.name}" + (f"-seed{seed}" if seed else "")
        self._audience = Audience(config, seed)
        self._catalogue = Catalogue(config, seed)
        self._gallery = Gallery(config, seed, self._catalogue)
        self._n_items_ever = config.n_items + _HORIZON_DAYS * config.items_per_day
        self._n_scenes_ever = config.n_scenes + _HORIZON_DAYS * config.scenes_per_day

    @property
    def meaning(self) -> SourceMeaning:
        """A view says that an item was shown; another start, seed or setting is another marketplace."""
        settings = dataclasses.asdict(self.config) | {"start_date": self.config.start_date.isoformat()}
        return SourceMeaning(WEB_LOG, {"seed": self.seed, **settings}, declared=frozenset(WEB_LOG.kinds))

    def days(self) -> DayRange:
        """From the configured start, without end."""
        return DayRange(self.config.start_date, None)

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        """Events of the window in time order, one batch for each hour that it touches."""
        return pa.RecordBatchReader.from_batches(INTERACTIONS, self._batches(window))

    def items(self, as_of: datetime) -> pa.Table:
        """The catalogue just before `as_of`, sold-out items included."""
        return self._catalogue.table(hour_of(as_of - _INSTANT, self.config), midnight(self.config))

    def looks(self, as_of: datetime) -> pa.Table:
        """The scene-product pairs published before `as_of`."""
        return self._gallery.table(hour_of(as_of - _INSTANT, self.config))

    def image(self, reference: str) -> bytes:
        """The PNG of a product (96×96) or a scene (128×128), rendered anew and always the same."""
        match = _REFERENCE.fullmatch(reference)
        number = int(match[2]) if match else 0
        is_scene = match is not None and match[1] == "scenes/s"
        if match is None or number >= (self._n_scenes_ever if is_scene else self._n_items_ever):
            raise SourceError(f"{self.name} has no image {reference!r}: use a reference from items or looks")
        if is_scene:
            return scene_photo(self.seed, self._gallery.scene(number))
        return product_photo(self.seed, number, *self._catalogue.style_and_category(number))

    def image_version(self, reference: str) -> str:
        """Rendering takes five times as long as decoding, and nothing but the config decides what comes out."""
        return f"{self._decides}: {reference}"

    def fingerprint(self, window: Window, table: str = "interactions") -> str:  # noqa: ARG002 - all change together
        """Digest of everything that decides the data: config, seed, this module's version, NumPy's version."""
        return self._decides

    @cached_property
    def _decides(self) -> str:
        config = dataclasses.asdict(self.config) | {"start_date": self.config.start_date.isoformat()}
        decides = json.dumps([VERSION, np.__version__, self.seed, config], sort_keys=True)
        return hashlib.sha256(decides.encode()).hexdigest()

    def expected_utility(self, users: Ids, items: Ids, at: datetime) -> Float32[np.ndarray, "users items"]:
        """The truth: log-odds (less a constant) of a click on each item, once looked at, for each user.

        Ids or row numbers may be given. Raises `DataError` for a user or an item that has not arrived by that day.
        """
        hour = self._hour(hour_of(at, self.config))
        user_rows = _rows(users, "u", len(hour.users))
        return behaviour.utility_matrix(hour, user_rows, _rows(items, "p", len(hour.items)))

    def click_probability(
        self, users: Ids, items: Ids, at: datetime, position: int = 0
    ) -> Float32[np.ndarray, "users items"]:
        """The truth: probability of a click on each item if shown to each user at this position (from 0)."""
        looked = self.examination(position)
        clicked = behaviour.click_chance(self.expected_utility(users, items, at), self.config)
        return (looked * clicked).astype(np.float32)

    def examination(self, position: int) -> float:
        """The truth: probability that a position (from 0) is looked at, the same for all users and items."""
        return float(behaviour.examination(np.array([position]), self.config)[0])

    def shown_first_probability(self, users: Ids, items: Ids, at: datetime) -> Float64[np.ndarray, "users items"]:
        """The truth: probability that the logging policy shows each item first; 0 for what is not on sale that hour."""
        hour = self._hour(hour_of(at, self.config))
        policy = LoggingPolicy.at(hour.number, hour.items, self.config)
        user_rows = _rows(users, "u", len(hour.users))
        taste = hour.users.taste(user_rows, hour.number, self.config.drift_days)
        on_sale = np.tile(np.arange(len(policy.items)), (len(user_rows), 1))
        chance = np.zeros((len(user_rows), len(hour.items)))
        by_style = policy.style_probabilities(taste, style_vectors(self.seed))
        chance[:, policy.items] = policy.probabilities(by_style, on_sale)
        return chance[:, _rows(items, "p", len(hour.items))]

    def _hour(self, number: int) -> Hour:
        return Hour(number, self._audience.until(number), self._catalogue.until(number), self.config, self.seed)

    def _batches(self, window: Window) -> Iterator[pa.RecordBatch]:
        first = max(hour_of(window.start, self.config), 0)
        last = hour_of(window.end - _INSTANT, self.config)
        for number in range(first, last + 1):
            hour = self._hour(number)
            yield _within(behaviour.simulate(hour), hour.start, window)


def _within(batch: pa.RecordBatch, start: datetime, window: Window) -> pa.RecordBatch:
    """The batch of the hour that begins at `start`, less what lies outside the window."""
    if window.start <= start and start + _HOUR <= window.end:
        return batch
    moments = np.asarray(batch.column("timestamp").cast(pa.int64()))
    inside = np.searchsorted(moments, (microseconds(window.start), microseconds(window.end)))
    return batch.slice(int(inside[0]), int(inside[1] - inside[0]))


def _rows(ids: Ids, prefix: str, known: int) -> Int64[np.ndarray, " n"]:
    """Row numbers of ids such as `u000123`, or of row numbers themselves."""
    values = np.asarray(ids)
    if values.dtype.kind in "UTO":
        strays = [text for text in values.tolist() if not re.fullmatch(rf"{prefix}\d{{6,}}", text)]
        if strays:
            raise DataError(f"id {strays[0]!r} is none of this marketplace: ids look like {prefix}000123")
        values = np.array([int(text[1:]) for text in values.tolist()], np.int64)
    rows = values.astype(np.int64)
    if len(rows) and not (rows.min() >= 0 and rows.max() < known):
        raise DataError(f"rows {rows.min()}..{rows.max()} reach outside the {known} that have arrived by that day")
    return rows
