"""What an event means: interest, exposure or aversion; and what the events of a (user, item) pair are worth together.

Declared once, by the source, and read from there by every stage. Each rule stands here twice: as SQL for day files, and
for arrays, for hours and reports; a test holds both to one plain twin.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int8, Int64

Kind = Literal["interest", "exposure", "aversion"]
Repeats = Literal["one", "count"]
PairRule = Literal["max", "sum", "count", "latest"]
INTEREST, EXPOSURE, AVERSION = 1, 0, -1
"""The kinds as numbers: what an event adds to interest."""
SIGNS: dict[Kind, int] = {"interest": INTEREST, "exposure": EXPOSURE, "aversion": AVERSION}
AVERSION_NAMES = ("dislike", "hide", "not_interested", "report")
"""Events by which a user asks not to be shown an item, unless the source says otherwise."""
EXPOSURE_NAMES = ("view", "impression")
"""Events that may say no more than that an item was shown; they do where their value is 0."""


@dataclass(frozen=True)
class EventMeaning:
    """What the events of a source mean.

    `kinds` says it of an event by its name, whatever its value. Of all others the value tells: below `likes_from` it is
    aversion, 0 of an `EXPOSURE_NAMES` is exposure, everything else interest.
    """

    kinds: Mapping[str, Kind] = field(default_factory=dict)
    likes_from: float | None = None
    pair: PairRule = "latest"
    """How the events of interest of a pair combine: the largest value, the sum, their number, or the latest (of equal
    times the largest). Those up to an aversion count no more."""
    repeats: Repeats = "one"
    """Whether rows equal in user, item, event, time and request are one event, or several."""

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**dataclasses.asdict(self), "kinds": dict(sorted(self.kinds.items()))}

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> "EventMeaning":
        """What `document` wrote; of data that earlier versions wrote, which say nothing, what they took for granted."""
        return WEB_LOG if document is None else cls(**document)

    def names(self, kind: Kind) -> list[str]:
        """Events that are of a kind by their name."""
        return sorted(event for event, found in self.kinds.items() if found == kind)

    def signs(self, events: pa.Table) -> Int8[np.ndarray, " n"]:
        """Of each row of a table with `event` and `value`: INTEREST, EXPOSURE or AVERSION."""
        coded = events.column("event").combine_chunks().dictionary_encode()
        names, code = coded.dictionary.to_pylist(), coded.indices.to_numpy()
        value = events.column("value").to_numpy().astype(np.float32)
        unnamed = 2
        by_name = np.array([SIGNS[self.kinds[name]] if name in self.kinds else unnamed for name in names], np.int8)
        may_be_shown = np.array([name in EXPOSURE_NAMES for name in names], bool)
        found = by_name[code] if len(code) else np.empty(0, np.int8)
        by_value = np.full(len(found), INTEREST, np.int8)
        if len(code):
            by_value[may_be_shown[code] & (value == 0)] = EXPOSURE
        if self.likes_from is not None:
            by_value[value < np.float32(self.likes_from)] = AVERSION
        return np.where(found == unnamed, by_value, found).astype(np.int8)

    def sign_sql(self, event: str = "event", value: str = "value") -> str:
        """The same as a SQL expression over two columns."""
        rules = [(_among(event, self.names(kind)), SIGNS[kind]) for kind in get_args(Kind) if self.names(kind)]
        if self.likes_from is not None:
            # Compared as float32, as values are stored: 0.7 is not below a `likes_from` of 0.7.
            rules.append((f"{value} < cast({self.likes_from!r} as float)", AVERSION))
        rules.append((f"{_among(event, EXPOSURE_NAMES)} and {value} = 0", EXPOSURE))
        cases = " ".join(f"when {condition} then {sign}" for condition, sign in rules)
        return f"(case {cases} else {INTEREST} end)"

    def pair_sql(self, value: str, time: str) -> str:
        """The aggregate that gives a pair's value, over the rows of its interest that count."""
        # Sums of float32 are exact in float64 while values differ by less than 2^29 times: no order of rows shows.
        return {
            "max": f"max({value})",
            "sum": f"sum({value}::double)",
            "count": "count(*)",
            "latest": f"arg_max({value}, ({time}, {value}))",
        }[self.pair] + "::float"

    def combined(
        self, value: Float32[np.ndarray, " n"], first: Int64[np.ndarray, " pairs"]
    ) -> Float32[np.ndarray, " pairs"]:
        """The value of each pair, whose rows begin at `first`, in ascending order of time and then value."""
        if not len(first):
            return np.empty(0, np.float32)
        ends = np.append(first, len(value))[1:]
        if self.pair == "latest":
            return value[ends - 1]
        if self.pair == "count":
            return (ends - first).astype(np.float32)
        fold = np.maximum if self.pair == "max" else np.add
        return fold.reduceat(value.astype(np.float64), first).astype(np.float32)

    def added(
        self, before: Float32[np.ndarray, " pairs"], later: Float32[np.ndarray, " pairs"]
    ) -> Float32[np.ndarray, " pairs"]:
        """The value of pairs with a value `before` and one of `later` events, which says the same as all at once."""
        if self.pair == "latest":
            return later
        if self.pair == "max":
            return np.maximum(before, later)
        return (before.astype(np.float64) + later).astype(np.float32)


WEB_LOG = EventMeaning({"view": "exposure", **dict.fromkeys(AVERSION_NAMES, "aversion")})
"""What a simulated shop's log means, and what every log meant before sources could say."""


def interest_that_counts(
    sign: Int8[np.ndarray, " n"], time: Int64[np.ndarray, " n"], pair: Int64[np.ndarray, " n"], n_pairs: int
) -> Bool[np.ndarray, " n"]:
    """Which rows are interest after their pair's last aversion; of both at one moment that has the last word."""
    last = np.full(n_pairs, np.iinfo(np.int64).min)
    is_averse = sign == AVERSION
    np.maximum.at(last, pair[is_averse], time[is_averse])
    return (sign == INTEREST) & (time > last[pair])


def by_worth(worth: float) -> Kind:
    """What an event says by what it is worth: nothing at 0."""
    return "interest" if worth > 0 else "exposure" if worth == 0 else "aversion"


def _among(column: str, names: Sequence[str]) -> str:
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
    return f"{column} in ({quoted})"
