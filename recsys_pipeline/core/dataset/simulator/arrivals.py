"""Who is there when: users, items and scenes come in numbered blocks, so that any day's state is a closed form.

Block 0 is what exists on the first day; block d + 1 holds what arrives during day d. Within a block rows are in order
of arrival, so whatever had arrived by some hour is a prefix of all rows ever.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from jaxtyping import Int64

HOURS_PER_DAY = 24
Rows = TypeVar("Rows")


@dataclass(frozen=True)
class Stay:
    """First hour present and first hour gone, in hours since the first day's midnight."""

    arrives: Int64[np.ndarray, " rows"]
    leaves: Int64[np.ndarray, " rows"]


def draw_stay(rng: np.random.Generator, block: int, rows: int, mean_days: float, history_days: tuple[int, int]) -> Stay:
    """Arrival and departure of a block's rows; stays are exponential, so the population is stationary.

    Rows of block 0 arrived between `history_days[0]` and `history_days[1]` days before the first day.
    """
    if block == 0:
        oldest, newest = (-HOURS_PER_DAY * days for days in history_days)
        arrives, counted_from = np.sort(rng.integers(oldest, newest, rows)), 0
    else:
        arrives = np.sort(rng.integers(0, HOURS_PER_DAY, rows)) + HOURS_PER_DAY * (block - 1)
        counted_from = arrives
    stay_hours = HOURS_PER_DAY + rng.exponential(mean_days * HOURS_PER_DAY, rows)
    return Stay(arrives, counted_from + stay_hours.astype(np.int64))


class Blocks(Generic[Rows]):
    """All rows that ever arrive: drawn block by block when first asked for, and kept."""

    def __init__(self, draw: Callable[[int], Rows], join: Callable[[list[Rows]], Rows]) -> None:
        self._draw = draw
        self._join = join
        self._drawn: dict[int, Rows] = {}
        self._joined: tuple[int, Rows] | None = None

    def block(self, number: int) -> Rows:
        """The rows of one block, without those of any other."""
        if number not in self._drawn:
            self._drawn[number] = self._draw(number)
        return self._drawn[number]

    def until(self, hour: int) -> Rows:
        """Rows that arrive up to the end of this hour's day; those of an earlier day are a prefix."""
        blocks = max(hour // HOURS_PER_DAY, -1) + 2
        joined = self._joined
        if joined is None or joined[0] != blocks:
            joined = self._joined = (blocks, self._join([self.block(number) for number in range(blocks)]))
        return joined[1]


def join_arrays(parts: Sequence[Any]) -> dict[str, np.ndarray]:
    """Each array field of some records of one type, end to end."""
    fields = [field.name for field in dataclasses.fields(parts[0])]
    names = [name for name in fields if isinstance(getattr(parts[0], name), np.ndarray)]
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}


def block_of(row: int, initial: int, per_day: int) -> int:
    """The block that holds a row."""
    return 0 if row < initial else (row - initial) // per_day + 1


def first_row(block: int, initial: int, per_day: int) -> int:
    """The number of a block's first row."""
    return 0 if block == 0 else initial + (block - 1) * per_day
