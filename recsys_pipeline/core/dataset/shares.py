"""How many bad rows a table, a day or a file may have: the share that is allowed, and what chance may add to it."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from recsys_pipeline.core.errors import DataError

DEVIATIONS = 3.0
"""A part of a stream may exceed the share by so many standard deviations of a Poisson count, and by one row: where 1%
of all rows are bad, 2 of 30 in a day are chance, and 15 are not."""
WAY_OUT = "Repair the source, or raise max_quarantine_share if so many bad rows are expected"


def exceeds_share(bad: int, total: int, max_share: float) -> bool:
    """Whether a table as a whole has too many bad rows: more than the share, and not one alone among others."""
    is_one_of_some = bad == 1 and total > 1 and max_share > 0
    return bad > max_share * total and not is_one_of_some


def is_clearly_bad(bad: int, total: int, max_share: float) -> bool:
    """Whether a part (a day, a file) of a stream is worse than the whole may be by more than chance, or mostly bad."""
    allowed = max_share * total + DEVIATIONS * math.sqrt(max_share * total) + 1
    return exceeds_share(bad, total, max_share) and (bad > allowed or 2 * bad > total)


def check_quarantine_share(quarantined: int, total: int, first: Mapping[str, Any] | None, max_share: float) -> None:
    """Raise `DataError`, naming the first bad row, where more than `max_share` of the rows were put aside.

    One bad row among others is never too many: 1 of 3 says nothing of the table.
    """
    if first is not None and exceeds_share(quarantined, total, max_share):
        raise DataError(f"{too_many(quarantined, total, first, max_share)}. {WAY_OUT}")


def too_many(bad: int, total: int, first: Mapping[str, Any], max_share: float) -> str:
    """What is said of a table, day or file that has too many bad rows."""
    return (
        f"{bad} of {total} rows break the contract, more than max_quarantine_share = {max_share:g} allows; "
        f"the first is row {first['source_row']} of {first['source_file']}: {first['reason']}"
    )


@dataclass
class Tally:
    """Rows and bad rows of a day, by file."""

    rows: Counter[str | None] = field(default_factory=Counter)
    bad: Counter[str | None] = field(default_factory=Counter)
    firsts: dict[str | None, Mapping[str, Any]] = field(default_factory=dict)
    """The first bad row of each file."""

    def add_bad(self, count: int, first: Mapping[str, Any]) -> None:
        """Count bad rows of one file, of which `first` is the first."""
        file = first["source_file"]
        self.bad[file] += count
        self.firsts[file] = min(self.firsts.get(file, first), first, key=place_of)


def first_of(tallies: Iterable[Tally], file: str | Literal[False] | None = False) -> Mapping[str, Any] | None:
    """The first bad row, by file and line; of one file where it is named."""
    found = [row for tally in tallies for row in tally.firsts.values() if file is False or row["source_file"] == file]
    return min(found, key=place_of, default=None)


def place_of(row: Mapping[str, Any]) -> tuple[str, int]:
    """By which bad rows are ordered: file and line."""
    return row["source_file"] or "", row["source_row"] or 0


def clearly_bad_parts(tallies: Mapping[Any, Tally], max_share: float) -> dict[Any, str]:
    """The days whose own share of bad rows is too large, with what to say of each."""
    found = {}
    for key, tally in tallies.items():
        bad, total, first = tally.bad.total(), tally.rows.total(), first_of([tally])
        if first is not None and is_clearly_bad(bad, total, max_share):
            found[key] = f"{too_many(bad, total, first, max_share)}. {WAY_OUT}"
    return found


def days_of_bad_files(tallies: Mapping[Any, Tally], undated: Tally, last: Any, max_share: float) -> dict[Any, str]:
    """The days that hold rows of a file whose share of bad rows is too large, with what to say of each.

    `undated` counts rows that no day has; they are filed with day `last`. Of the only file nothing is said here: that
    is the whole, of which `check_rest` judges.
    """
    parts = [*tallies.items(), (last, undated)]
    rows, bad = Counter[str | None](), Counter[str | None]()
    for _, tally in parts:
        rows.update(tally.rows)
        bad.update(tally.bad)
    found: dict[Any, str] = {}
    for file, count in bad.items() if len(rows) > 1 else ():
        first = first_of((tally for _, tally in parts), file)
        if first is not None and is_clearly_bad(count, rows[file], max_share):
            why = f"its file is bad: {too_many(count, rows[file], first, max_share)}. {WAY_OUT}"
            found |= {key: why for key, tally in parts if tally.rows[file]}
    return found


def check_rest(kept: Collection[Tally], undated: Tally, max_share: float) -> None:
    """Raise `DataError` where all days that are kept, and the rows that no day has, are too bad taken together."""
    parts = [*kept, undated]
    bad, total = sum(part.bad.total() for part in parts), sum(part.rows.total() for part in parts)
    check_quarantine_share(bad, total, first_of(parts), max_share)
