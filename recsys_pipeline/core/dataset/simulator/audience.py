"""The users: tastes that drift, activity, buying moments and price sensitivity, each a closed form of (seed, hour)."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Float64, Int64

from recsys_pipeline.core.dataset.simulator.arrivals import Blocks, Stay, draw_stay, join_arrays
from recsys_pipeline.core.dataset.simulator.catalogue import EMBEDDING_SIZE, style_vectors, unit_rows
from recsys_pipeline.core.dataset.simulator.config import SimulatorConfig
from recsys_pipeline.core.dataset.simulator.streams import Purpose, stream

_HISTORY_DAYS = (400, 0)
_BUYING_CYCLE_DAYS = 60.0
BUYING_DAYS = 6.0


@dataclass(frozen=True)
class Users:
    """Everything fixed about users `0..n-1`, in order of joining."""

    stay: Stay
    activity: Float64[np.ndarray, " users"]
    first_taste: Float32[np.ndarray, "users dim"]
    second_taste: Float32[np.ndarray, "users dim"]
    drift_phase: Float32[np.ndarray, " users"]
    price_sensitivity: Float32[np.ndarray, " users"]
    buying_phase: Float32[np.ndarray, " users"]
    ids: pa.StringArray

    def __len__(self) -> int:
        return len(self.activity)

    def present(self, hour: int) -> Bool[np.ndarray, " users"]:
        """Which users are members during this hour."""
        return (self.stay.arrives <= hour) & (hour < self.stay.leaves)

    def share_of_requests(self, rows: Int64[np.ndarray, " n"], hour: int) -> Float64[np.ndarray, " n"]:
        """Which part of all requests of this hour each user makes, on average."""
        return self.activity[rows] / self.activity[self.present(hour)].sum()

    def taste(self, rows: Int64[np.ndarray, " n"], hour: int, drift_days: float) -> Float32[np.ndarray, "n dim"]:
        """Unit style vectors at this hour: each user swings between two tastes and back."""
        swing = (1 + np.cos(2 * np.pi * (hour / (24 * drift_days) + self.drift_phase[rows]))) / 2
        return unit_rows(swing[:, None] * self.first_taste[rows] + (1 - swing)[:, None] * self.second_taste[rows])

    def ready_to_buy(
        self, rows: Int64[np.ndarray, "*n"], item_phase: Float32[np.ndarray, "*n"], hour: int
    ) -> Bool[np.ndarray, "*n"]:
        """Whether a user may buy an item now: each pair has one short moment in a long cycle.

        So hardly anybody buys a thing twice, and yet no hour needs to know what happened in any other.
        """
        phase = hour / (24 * _BUYING_CYCLE_DAYS) + self.buying_phase[rows] + item_phase
        return phase % 1 < BUYING_DAYS / _BUYING_CYCLE_DAYS


class Audience:
    """All users who ever join, drawn block by block and kept."""

    def __init__(self, config: SimulatorConfig, seed: int) -> None:
        self._config = config
        self._seed = seed
        self._blocks = Blocks(self._draw, _join)

    def until(self, hour: int) -> Users:
        """Users who join up to the end of this hour's day; the rows of an earlier day are a prefix."""
        return self._blocks.until(hour)

    def _draw(self, block: int) -> Users:
        config = self._config
        rows = config.n_users if block == 0 else config.users_per_day
        rng = stream(self._seed, Purpose.USERS, block)
        return Users(
            stay=draw_stay(rng, block, rows, config.n_users / config.users_per_day, _HISTORY_DAYS),
            activity=rng.lognormal(0.0, 0.8, rows),
            first_taste=self._draw_taste(rng, rows),
            second_taste=self._draw_taste(rng, rows),
            drift_phase=rng.random(rows, np.float32),
            price_sensitivity=rng.uniform(0.0, 0.8, rows).astype(np.float32),
            buying_phase=rng.random(rows, np.float32),
            ids=user_ids(0),
        )

    def _draw_taste(self, rng: np.random.Generator, rows: int) -> Float32[np.ndarray, "rows dim"]:
        """A favourite style, a second one at half the weight, and a part that is the user's own."""
        styles = style_vectors(self._seed)
        favourite, second = rng.integers(0, len(styles), (2, rows))
        own = rng.standard_normal((rows, EMBEDDING_SIZE)) / np.sqrt(EMBEDDING_SIZE)
        return unit_rows(styles[favourite] + 0.5 * styles[second] + 0.6 * own)


def _join(parts: list[Users]) -> Users:
    stay = Stay(**join_arrays([part.stay for part in parts]))
    return Users(stay=stay, ids=user_ids(len(stay.arrives)), **join_arrays(parts))


def user_ids(n: int) -> pa.StringArray:
    """The ids of users `0..n-1`."""
    return pa.array([f"u{row:06d}" for row in range(n)], pa.string())
