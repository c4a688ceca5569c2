"""Shops in which nothing changes but chance, day by day as the pipeline would release them, without Dagster or a store.

A `Life` does for one shop what `models/als`, `serving/release`, `serving/decision` and `serving/champion` do each day:
the model goes on from the champion's and is fitted in full on Sundays, the gate judges, and what passes is served.
"""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from recsys_pipeline.core.dataset.days import write_periods
from recsys_pipeline.core.dataset.schema import INTERACTIONS, ITEMS, TIMESTAMP, validate_items
from recsys_pipeline.core.dataset.snapshots import DayEntry, Snapshot, write_snapshot
from recsys_pipeline.core.folds import Fold, divide
from recsys_pipeline.core.folds.prequential import prequential
from recsys_pipeline.core.models.als import AlsConfig, AlsModel, continue_fit, fit
from recsys_pipeline.core.models.popularity import PopularityConfig
from recsys_pipeline.core.models.popularity import fit as fit_popularity
from recsys_pipeline.core.reports.monitoring.priors import Profile
from recsys_pipeline.core.reports.parity.gaps import never_in
from recsys_pipeline.core.serving.assemble import DayOfRelease, assemble
from recsys_pipeline.core.serving.gate import Decision, judge
from recsys_pipeline.core.serving.gate_figures import Trial, measure
from recsys_pipeline.core.serving.gate_limits import GateLimits
from recsys_pipeline.core.serving.gate_record import GateFigures
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.serving.release_config import ReleaseConfig
from recsys_pipeline.core.serving.release_parts import ReleaseParts, write_release
from recsys_pipeline.core.time import Window, microseconds

FIRST_DAY = date(2026, 1, 1)
SUNDAY, MAX_GAP_DAYS = 6, 3
LIMITS = GateLimits(timed_users=1)
"""The gate's defaults; how fast lists are made is none of these shops' questions."""


class Shop(Protocol):
    """What is needed of a source."""

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        """Events of a window."""
        ...

    def items(self, as_of: datetime) -> pa.Table:
        """The catalogue."""
        ...


class CornerShop:
    """A shop below the simulator's smallest: users with tastes that never change take items that never change.

    An item is drawn by the softmax of `taste · style` and a popularity that falls as rank^-0.6, again and again.
    """

    def __init__(self, n_users: int = 150, n_items: int = 60, events_per_user: float = 1.2, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.seed, self.n_users, self.n_items = seed, n_users, n_items
        self.taste, style = rng.normal(size=(n_users, 6)), rng.normal(size=(n_items, 6))
        self.utility = self.taste @ style.T - 0.6 * np.log(1 + rng.permutation(n_items))
        self.events_of_user = events_per_user * rng.lognormal(0, 0.8, n_users)
        self.price, self.category = rng.lognormal(3, 0.6, n_items), style.argmax(axis=1)

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        """A batch per day, the same for a day in any window."""
        return pa.RecordBatchReader.from_batches(INTERACTIONS, (self._day(day) for day in window.days()))

    def _day(self, day: date) -> pa.RecordBatch:
        rng = np.random.default_rng([self.seed, day.toordinal()])
        user = np.repeat(np.arange(self.n_users), rng.poisson(self.events_of_user))
        item = (self.utility[user] + rng.gumbel(size=(len(user), self.n_items))).argmax(axis=1)
        time_us = microseconds(Window.of_day(day).start) + np.sort(rng.integers(0, 86_400_000_000, len(user)))
        bought = rng.random(len(user)) < 0.25
        columns = {
            "user_id": pa.array([f"u{row:04d}" for row in user], pa.string()),
            "item_id": pa.array([f"p{row:04d}" for row in item], pa.string()),
            "event": pa.array(np.where(bought, "purchase", "click")),
            "value": pa.array(np.where(bought, 4, 3).astype(np.float32)),
            "timestamp": pa.array(time_us, TIMESTAMP),
        }
        absent = {name: pa.nulls(len(user), INTERACTIONS.field(name).type) for name in INTERACTIONS.names[5:]}
        return pa.record_batch([*columns.values(), *absent.values()], schema=INTERACTIONS)

    def items(self, as_of: datetime) -> pa.Table:  # noqa: ARG002 - the catalogue is always the same
        """Every item, on sale."""
        n, ids = self.n_items, [f"p{row:04d}" for row in range(self.n_items)]
        columns = [ids, ids, [[f"category {row}"] for row in self.category], self.price, [True] * n]
        return pa.table([*columns, pa.nulls(n, TIMESTAMP), pa.nulls(n, pa.string())], schema=ITEMS)


@dataclass(frozen=True)
class Day:
    """What the pipeline knows at the end of a day."""

    day: date
    fold: Fold
    user_ids: np.ndarray
    item_ids: np.ndarray
    catalogue: pa.Table
    event_users: Int64[np.ndarray, " events"]


def days_of(shop: Shop, n_days: int, root: Path) -> Iterator[Day]:
    """The first days of a shop, each with the snapshot and the fold that the pipeline would make."""
    window = Window.of_days(FIRST_DAY, FIRST_DAY + timedelta(days=n_days - 1))
    files = write_periods(shop.interactions(window), window, root / "days")
    entries = [DayEntry(file.partition, f"days/{file.path}", file.digest, file.rows) for file in files]
    for number, day in enumerate(window.days(), 1):
        folder, own = root / f"snapshot-{day}", Window.of_day(day)
        folder.mkdir()
        write_snapshot(folder, root, entries[:number])
        snapshot = Snapshot.load(folder, root)
        ratings = snapshot.ratings()
        outer = prequential(ratings, 0.1, 0)
        fold = divide(ratings, outer, prequential(ratings.take(outer.train), 0.1, 1))
        users = ratings.user[ratings.timestamp_us >= microseconds(own.start)].astype(np.int64)
        catalogue = validate_items(shop.items(own.end), own.end).clean
        yield Day(day, fold, snapshot.user_ids, snapshot.item_ids, catalogue, users)


def parts_of(day: Day, model: AlsModel, catalogue: pa.Table | None = None) -> ReleaseParts:
    """What `serving/release` is written from."""
    end_us = microseconds(Window.of_day(day.day).end)
    table = day.catalogue if catalogue is None else catalogue
    known = (day.day.isoformat(), end_us, model, day.fold, day.user_ids, day.item_ids, Profile(), table)
    return assemble(DayOfRelease(*known), ReleaseConfig(), 0)


@dataclass(frozen=True)
class Candidate:
    """A day's model, and the folds that it and those before it were fitted on."""

    day: Day
    model: AlsModel
    chain: tuple[Fold, ...]
    full_fit_day: date


@dataclass(frozen=True)
class Served:
    """A release that was promoted."""

    of: Candidate
    release: Release
    figures: GateFigures


def _is_due(earlier: Candidate, day: date) -> bool:
    """Whether a full fit is due after this model: on Sundays, or as soon as one was missed, and after a gap."""
    sunday = day - timedelta(days=(day.weekday() - SUNDAY) % 7)
    return earlier.full_fit_day < sunday or (day - earlier.day.day).days > MAX_GAP_DAYS


@dataclass
class Life:
    """A shop's releases, one after the other."""

    root: Path
    champion: Served | None = None
    best: Served | None = None
    _n_made: int = field(default=0, repr=False)

    def fitted(self, day: Day, config: AlsConfig) -> Candidate:
        """Gone on from the champion's model, or in full: on Sundays, of other settings, after a gap."""
        train, before = day.fold.train_and_validation, self.champion
        if before is None or before.of.model.config != config or _is_due(before.of, day.day):
            return Candidate(day, fit(train, config, 0), (day.fold,), day.day)
        model = continue_fit(before.of.model, train, config, 0)
        return Candidate(day, model, (*before.of.chain, day.fold), before.of.full_fit_day)

    def judged(self, candidate: Candidate, parts: ReleaseParts) -> tuple[Decision, Release]:
        """The gate's decision on the release that these parts make."""
        self._n_made += 1
        folder = self.root / f"release-{self._n_made}"
        write_release(folder, parts)
        release, fold = Release.load(folder, verify=False), candidate.day.fold
        behind = [earlier.train_and_validation for earlier in candidate.chain[:-1]]
        trial = Trial(
            release=release,
            fold=dataclasses.replace(fold, test=fold.test.take(never_in(fold.test, behind))),
            popularity=fit_popularity(fold.train_and_validation, PopularityConfig(), 0),
            event_users=candidate.day.event_users,
            champion=self.champion.release if self.champion else None,
            best=self.best.release if self.best else None,
            best_day=self.best.figures.day if self.best else "",
        )
        figures = measure(trial, LIMITS, 0)
        return judge(figures, self.champion.figures if self.champion else None, LIMITS), release

    def lived(self, candidate: Candidate) -> Decision:
        """The day's own release is judged, and served where it passed."""
        decision, release = self.judged(candidate, parts_of(candidate.day, candidate.model))
        if decision.promoted:
            self.champion = Served(candidate, release, decision.figures)
            best = self.best.figures.ndcg if self.best else math.nan
            self.best = self.champion if not decision.figures.ndcg <= best else self.best
        return decision
