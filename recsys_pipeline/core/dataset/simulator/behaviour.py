"""What users do with the lists they are shown: look, click, buy, rate. One hour is one batch of events."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Float64, Int64

from recsys_pipeline.core.dataset.schema import INTERACTIONS
from recsys_pipeline.core.dataset.simulator.audience import BUYING_DAYS, Users
from recsys_pipeline.core.dataset.simulator.catalogue import Items, midnight, season, style_vectors
from recsys_pipeline.core.dataset.simulator.config import SimulatorConfig
from recsys_pipeline.core.dataset.simulator.logging_policy import LoggingPolicy, Slates
from recsys_pipeline.core.dataset.simulator.streams import Purpose, stream
from recsys_pipeline.core.time import microseconds

EVENTS = ("view", "click", "purchase", "rating")
VALUES = np.array([0.0, 3.0, 4.0, np.nan], np.float32)
"""Preference on the one star scale for each of `EVENTS`; a rating carries its own stars."""

_PURCHASE_BIAS = 1.0
_PURCHASES_PER_MOMENT = 0.15
_RATING_SHARE = 0.7
# Requests end early enough for the slowest rating to fall in the same hour, which keeps each hour self-contained.
_LAST_REQUEST_S = 3300.0


@dataclass(frozen=True)
class Hour:
    """Users and items as they stand in one hour."""

    number: int
    users: Users
    items: Items
    config: SimulatorConfig
    seed: int

    @property
    def start(self) -> datetime:
        """First moment of the hour, UTC."""
        return midnight(self.config) + timedelta(hours=self.number)


@dataclass(frozen=True)
class Reactions:
    """What came of each shown item: which of `EVENTS`, its stars if rated, seconds from the request to each event."""

    happened: Bool[np.ndarray, "events requests slate"]
    stars: Float32[np.ndarray, "requests slate"]
    delay_s: Float64[np.ndarray, "events requests slate"]


def request_rate(start: datetime) -> float:
    """Requests in this hour relative to an average one: evenings, weekends and late autumn are busy."""
    day_of_year = start.timetuple().tm_yday
    by_hour = 1 + 0.7 * np.cos(2 * np.pi * (start.hour - 20) / 24)
    by_weekday = (0.92, 0.9, 0.92, 0.95, 1.0, 1.16, 1.15)[start.weekday()]
    by_season = 1 + 0.12 * np.cos(2 * np.pi * (day_of_year - 330) / 365.25)
    return float(by_hour * by_weekday * by_season)


def item_utility(hour: Hour) -> Float32[np.ndarray, " items"]:
    """The part of an item's utility that all users share: quality and season."""
    year_start = hour.start.replace(month=1, day=1, hour=0)
    by_season = season((hour.start - year_start) / timedelta(hours=1))
    return hour.config.quality_weight * hour.items.log_popularity + by_season[hour.items.category]


def slate_utility(
    hour: Hour, users: Int64[np.ndarray, " requests"], slates: Int64[np.ndarray, "requests slate"]
) -> Float32[np.ndarray, "requests slate"]:
    """True utility of each shown item for the user who was shown it."""
    taste = hour.users.taste(users, hour.number, hour.config.drift_days)
    match = np.einsum("rd,rsd->rs", taste, hour.items.vector[slates])
    dear = hour.users.price_sensitivity[users][:, None] * hour.items.relative_log_price(hour.number)[slates]
    return (hour.config.taste_weight * match + item_utility(hour)[slates] - dear).astype(np.float32)


def utility_matrix(
    hour: Hour, users: Int64[np.ndarray, " users"], items: Int64[np.ndarray, " items"]
) -> Float32[np.ndarray, "users items"]:
    """True utility of every pair."""
    taste = hour.users.taste(users, hour.number, hour.config.drift_days)
    dear = np.outer(hour.users.price_sensitivity[users], hour.items.relative_log_price(hour.number)[items])
    match = taste @ hour.items.vector[items].T
    return (hour.config.taste_weight * match + item_utility(hour)[items] - dear).astype(np.float32)


def examination(positions: Int64[np.ndarray, " n"], config: SimulatorConfig) -> Float64[np.ndarray, " n"]:
    """Probability that a user looks at a position (from 0), whatever is shown there."""
    return (positions + 1.0) ** -config.examination_decay


def click_chance(utility: Float32[np.ndarray, "*n"], config: SimulatorConfig) -> Float64[np.ndarray, "*n"]:
    """Probability of a click on an item that is looked at."""
    return _sigmoid(config.click_bias + utility)


def simulate(hour: Hour) -> pa.RecordBatch:
    """All events of one hour in time order; equal hours give equal bytes."""
    rng = stream(hour.seed, Purpose.HOUR, hour.number)
    users, seconds = _requests(hour, rng)
    policy = LoggingPolicy.at(hour.number, hour.items, hour.config)
    taste = hour.users.taste(users, hour.number, hour.config.drift_days)
    slates = policy.rank(policy.style_probabilities(taste, style_vectors(hour.seed)), hour.config.slate_size, rng)
    reactions = _react(hour, users, slates, rng)
    return _tabulate(hour, users, seconds, slates, reactions)


def _requests(
    hour: Hour, rng: np.random.Generator
) -> tuple[Int64[np.ndarray, " requests"], Float64[np.ndarray, " requests"]]:
    """Who asks for a list during the hour, and at which second of it, in time order."""
    present = np.flatnonzero(hour.users.present(hour.number))
    share = len(present) / hour.config.n_users
    requests = rng.poisson(hour.config.requests_per_day / 24 * request_rate(hour.start) * share)
    cumulative = np.cumsum(hour.users.activity[present])
    drawn = np.searchsorted(cumulative, rng.random(requests) * cumulative[-1], side="right")
    return present[np.minimum(drawn, len(present) - 1)], np.sort(rng.uniform(0, _LAST_REQUEST_S, requests))


def _react(hour: Hour, users: Int64[np.ndarray, " requests"], slates: Slates, rng: np.random.Generator) -> Reactions:
    """Look, click, buy and rate, each only after the one before."""
    shape = slates.items.shape
    utility = slate_utility(hour, users, slates.items)
    click = examination(np.arange(shape[1]), hour.config) * click_chance(utility, hour.config)
    luck = rng.random((3, *shape))
    clicked = luck[0] < click
    bought = clicked & (luck[1] < _purchase_chance(hour, users, slates, utility, click))
    rated = bought & (luck[2] < _RATING_SHARE)
    stars = np.clip(np.rint(2.6 + 0.5 * utility + 0.7 * rng.standard_normal(shape)), 1, 5)
    pauses = rng.uniform((2, 60, 20), (12, 120, 100), (*shape, 3))
    pauses[:, :, 0] += 4.0 * np.arange(shape[1])
    delays = np.concatenate([np.zeros((1, *shape)), np.cumsum(np.moveaxis(pauses, -1, 0), axis=0)])
    return Reactions(np.stack([np.ones(shape, bool), clicked, bought, rated]), stars.astype(np.float32), delays)


def _purchase_chance(
    hour: Hour,
    users: Int64[np.ndarray, " requests"],
    slates: Slates,
    utility: Float32[np.ndarray, "requests slate"],
    click: Float64[np.ndarray, "requests slate"],
) -> Float64[np.ndarray, "requests slate"]:
    """Probability of a purchase after a click.

    Capped such that a pair expects at most `_PURCHASES_PER_MOMENT` purchases in its buying moment, however often the
    user sees and clicks the item: that is what keeps repeats rare without any memory.
    """
    buyers = np.broadcast_to(users[:, None], utility.shape)
    ready = hour.users.ready_to_buy(buyers, hour.items.buying_phase[slates.items], hour.number)
    shown_per_day = hour.config.requests_per_day * hour.config.slate_size * slates.chance
    views = BUYING_DAYS * hour.users.share_of_requests(users, hour.number)[:, None] * shown_per_day
    chance = np.minimum(_sigmoid(_PURCHASE_BIAS + 0.5 * utility), _PURCHASES_PER_MOMENT / (views * click))
    return np.where(ready, chance, 0.0)


def _tabulate(
    hour: Hour,
    users: Int64[np.ndarray, " requests"],
    seconds: Float64[np.ndarray, " requests"],
    slates: Slates,
    reactions: Reactions,
) -> pa.RecordBatch:
    event, request, position = np.nonzero(reactions.happened)
    moment = seconds[request] + reactions.delay_s[event, request, position]
    order = np.argsort(moment, kind="stable")
    event, request, position, moment = event[order], request[order], position[order], moment[order]
    value = np.where(event == EVENTS.index("rating"), reactions.stars[request, position], VALUES[event])
    request_ids = pa.array([f"r{hour.number:06d}-{row:06d}" for row in range(len(users))], pa.string())
    start_us = microseconds(hour.start)
    columns = [
        hour.users.ids.take(pa.array(users[request])),
        hour.items.ids.take(pa.array(slates.items[request, position])),
        pa.array(EVENTS, pa.string()).take(pa.array(event)),
        pa.array(value.astype(np.float32)),
        pa.array((moment * 1e6).astype(np.int64) + start_us, pa.timestamp("us", tz="UTC")),
        request_ids.take(pa.array(request)),
        pa.array(position.astype(np.int32)),
        pa.array(slates.propensity[request, position].astype(np.float32)),
    ]
    return pa.record_batch(columns, schema=INTERACTIONS)


def _sigmoid(logit: Float32[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    return 1 / (1 + np.exp(-logit.astype(np.float64)))
