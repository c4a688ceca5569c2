"""What the cells of a column look like: the evidence on which columns of a file without names are told apart."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from recsys_pipeline.adapters.sources.text_times import tomorrow

EPOCH_FROM_S, EPOCH_TO_S = 631_152_000, 4_102_444_800
"""1990 and 2100: a number outside is no time to a guess, though it may be one where a name or an option says so."""
UNITS = (("s", 1e11, 1), ("ms", 1e14, 1_000), ("us", 1e17, 1_000_000))
"""Epochs by their size: seconds until the year 5138, and how many of a unit are a second."""
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", None: "no known unit"}
USUALLY = 0.95
"""A column is of a kind where this share of its cells is, or all but one: a broken line does not change a column."""
TRIED_CELLS = 200

_CLOCK = r"\d{1,2}:\d{2}(:\d{2}([.,]\d{1,9})?)?\s?(Z|UTC|[+-]\d{2}(:?\d{2})?)?"
_DAY = r"(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])"
_ISO = re.compile(rf"\d{{4}}-{_DAY}([T ]{_CLOCK})?|(19|20)\d{{2}}{_DAY}(T\d{{4}}(\d{{2}})?Z?)?")
_WRITTEN = re.compile(
    r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}(\s.*)?|\d{4}[/.]\d{1,2}[/.]\d{1,2}(\s.*)?|\d{1,2} \d{1,2}, ?\d{4}"
    r"|((mon|tue|wed|thu|fri|sat|sun)\w*,? )?(\d{1,2} )?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w* .*\d",
    re.IGNORECASE,
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_FORMATS = (
    *(f"{day}{clock}" for at in "/.-" for year in "yY" for clock in _CLOCKS
      for day in (f"%d{at}%m{at}%{year}", f"%m{at}%d{at}%{year}", f"%{year}{at}%m{at}%d")),
    "%m %d, %Y", *(f"{day}{clock}" for day in ("%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y") for clock in _CLOCKS),
    "%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S %z",
)  # fmt: skip
"""What exports of shops, tweets and spreadsheets write; `times_like` offers those that read every cell."""


@dataclass(frozen=True)
class Content:
    """Counts over the cells of one column that are not empty."""

    n: int
    n_distinct: int
    n_numbers: int
    n_iso: int
    n_epochs: int
    n_written: int
    """Times that are not ISO 8601, such as 01-12-10 08:26."""
    smallest: float
    largest: float
    has_fractions: bool
    example: str

    @property
    def time_kind(self) -> str:
        """`iso`, `written` or `epoch` where the column holds times, else empty."""
        for kind, count in (("iso", self.n_iso), ("written", self.n_written), ("epoch", self.n_epochs)):
            if self._is_usual(count):
                return kind
        return ""

    @property
    def is_numeric(self) -> bool:
        return self._is_usual(self.n_numbers)

    def _is_usual(self, count: int) -> bool:
        return count > self.n / 2 and count >= min(USUALLY * self.n, self.n - 1)

    def describe(self) -> str:
        """In words, such as `150 of 150 are ISO 8601 times`."""
        if kind := self.time_kind:
            count = {"iso": self.n_iso, "written": self.n_written, "epoch": self.n_epochs}[kind]
            said = {"iso": "ISO 8601 times", "written": f"times such as {self.example!r}"}
            return (
                f"{count:,} of {self.n:,} are {said.get(kind) or f'epochs in {UNIT_NAMES[epoch_unit(self.largest)]}'}"
            )
        if not self.n:
            return "all are empty"
        if self.is_numeric:
            bounds = f"{self.smallest:g}" + ("" if self.n_distinct == 1 else f" to {self.largest:g}")
            return f"{self.n_numbers:,} of {self.n:,} are numbers, {bounds}"
        return f"{self.n_distinct:,} different texts such as {self.example!r} in {self.n:,}"


def content(cells: Sequence[str]) -> Content:
    """Look at every cell; empty ones do not count."""
    found = [cell for cell in cells if cell]
    numbers = [number for cell in found if (number := number_of(cell)) is not None]
    return Content(
        n=len(found),
        n_distinct=len(set(found)),
        n_numbers=len(numbers),
        n_iso=sum(bool(_ISO.fullmatch(cell)) for cell in found),
        n_epochs=sum(map(_is_epoch, numbers)),
        n_written=sum(bool(_WRITTEN.fullmatch(cell)) for cell in found),
        smallest=min(numbers, default=math.nan),
        largest=max(numbers, default=math.nan),
        has_fractions=any(number % 1 for number in numbers),
        example=found[0] if found else "",
    )


def number_of(cell: str) -> float | None:
    """The finite number that the cell is, if it is one."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in cell else None


def epoch_unit(largest: float) -> str | None:
    """The unit of epochs by the size of the largest; None where it is beyond microseconds."""
    return next((unit for unit, limit, _ in UNITS if abs(largest) < limit), None)


def times_like(cells: Sequence[str]) -> list[str]:
    """Formats (as of `strptime`) that read each of the first cells as past times: several where the day is open."""
    tried = [cell for cell in cells if cell][:TRIED_CELLS]
    return [form for form in _FORMATS if tried and all(_reads(form, cell) for cell in tried)]


def _reads(form: str, cell: str) -> bool:
    try:
        found = datetime.strptime(cell, form)  # noqa: DTZ007 - without a zone it is as good as in UTC here
    except ValueError:
        return False
    return found.replace(tzinfo=found.tzinfo or UTC) < tomorrow()


def _is_epoch(number: float) -> bool:
    return any(EPOCH_FROM_S * scale <= number <= EPOCH_TO_S * scale for _, _, scale in UNITS)
