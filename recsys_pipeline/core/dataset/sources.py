"""The protocol behind which every source of data stands: simulator, files, download, SQL."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from recsys_pipeline.core.dataset.source_meaning import SourceMeaning
from recsys_pipeline.core.time import Window


@dataclass(frozen=True)
class DayRange:
    """First and last day (both included) on which a source has data; `last=None` means that it goes on."""

    first: date
    last: date | None
    absent: frozenset[date] = frozenset()
    """Days between them that the source does not have: not empty ones, but such as may still arrive."""


@runtime_checkable
class Source(Protocol):
    """Where interactions, items and looks come from.

    Tables carry the columns of the contract (`schema.py`) and may carry three more, by which bad rows are
    traced: `source_file` str, `source_row` int64 (1-based line in that file), and `defect` str, set where
    the source itself could not read a row. Rows with a defect go to the quarantine, never to the floor.
    A row with no usable timestamp says with `filed_at` (a moment of its file's day, say) which day puts it aside; one
    without it may be delivered with every window, and is kept by the day that reads it first.
    """

    name: str
    """Names this source's storage namespace: lower case letters, digits and dashes."""

    provides: frozenset[str]
    """What it can give: a subset of {"interactions", "items", "looks", "item_images"}; the last where its catalogue
    names pictures and it has no looks, which bring those of their products."""

    @property
    def meaning(self) -> SourceMeaning:
        """What its events mean, and how its rows are read into them: the one place that says so."""
        ...

    def days(self) -> DayRange:
        """The days that have interactions (or, for looks only, the days for which looks may be asked)."""
        ...

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        """A stream of all events in the window, in any order.

        Raises `SourceError` for a window with a day that is absent: what was once read as empty would hide what comes.
        """
        ...

    def items(self, as_of: datetime) -> pa.Table:
        """The catalogue as it was just before `as_of`."""
        ...

    def looks(self, as_of: datetime) -> pa.Table:
        """The scene-product pairs known just before `as_of`."""
        ...

    def image(self, reference: str) -> bytes:
        """The encoded bytes of an image named in `items` or `looks`; raises `SourceError` if absent."""
        ...

    def fingerprint(self, window: Window, table: str = "interactions") -> str:
        """A string that changes when what `interactions(window)`, or `items` or `looks` at its end, would give may have
        changed, found without reading the data (config, seed, file sizes and times, row counts and watermarks)."""
        ...


@runtime_checkable
class CountsRows(Protocol):
    """A source that can say how many events it has without giving them: what came too late can be told then."""

    def count(self, window: Window) -> int:
        """Rows that `interactions(window)` would deliver now, good and bad."""
        ...


@runtime_checkable
class FingerprintsDays(Protocol):
    """A source that tells the fingerprints of many days in one look: what changed in closed days can be told then."""

    def fingerprints(self, window: Window) -> dict[date, str]:
        """What `fingerprint` says of each day that is there."""
        ...


@runtime_checkable
class KnowsFarDays(Protocol):
    """A source that looks for rows whose times lie far from all others, and puts them aside."""

    def far_days(self) -> str:
        """Which they are, in words; empty where there are none."""
        ...


@runtime_checkable
class ChecksTables(Protocol):
    """A source that stands on what others keep, and can say what is wrong with it before a run needs it."""

    def check(self) -> None:
        """Look at every table that it provides, and read no more than tells whether it can be read.

        Raises `SourceError` naming a file or table that is missing, broken off, lacks a column or has no readable time.
        """
        ...


@runtime_checkable
class KnowsTruth(Protocol):
    """A source that knows what users would have done: a simulator. Reports set estimates against it."""

    def click_probability(
        self, users: np.ndarray, items: np.ndarray, at: datetime, position: int = 0
    ) -> Float32[np.ndarray, "users items"]:
        """Probability of a click on each item, by id text, if shown to each user at this position (from 0) then."""
        ...

    def examination(self, position: int) -> float:
        """Probability that a position (from 0) is looked at."""
        ...
