"""SQL that reads times from text: epochs, ISO 8601, or a format of the source's own, in its time zone.

A time outside the years that the source allows is refused like one that cannot be read: `01-12-10` is no year 1, and
a second taken for a millisecond is no event of 1970.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb

EPOCHS = {"s": ("an epoch in seconds", 6), "ms": ("an epoch in milliseconds", 3), "us": ("an epoch in microseconds", 0)}
YEAR_1_US, YEAR_9999_US = -62_135_596_800_000_000, 253_402_300_799_999_999
FIRST_YEAR = 1970
EPOCH, LAST = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_ZONE = r"( ?([Zz]|UTC|GMT|[+-]\d{2}(:?\d{2})?))?"
_FRACTION = r"([.,]\d+)?"
_EXTENDED = rf"\d{{4}}-\d{{2}}-\d{{2}}([Tt ]\d{{2}}:\d{{2}}(:\d{{2}}{_FRACTION})?{_ZONE})?"
_BASIC = rf"\d{{8}}([Tt ]\d{{4}}(\d{{2}}{_FRACTION})?{_ZONE})?"
_HAS_ZONE = r":\d{2}([.,]\d+)? ?([Zz]|UTC|GMT|[+-]\d{2}(:?\d{2})?)$"


def tomorrow() -> datetime:
    """A day from now: clocks differ, but no event happens later than that."""
    return datetime.now(UTC) + timedelta(days=1)


def format_error(time_format: str) -> str | None:
    """What is wrong with a strptime format; None where it can be used."""
    try:
        duckdb.execute(f"select try_strptime('', {_quoted(time_format)})")
    except duckdb.Error as error:
        return " ".join(str(error).split())[:200]
    return None


def zone_is_known(zone: str) -> bool:
    """Whether a time zone has this IANA name, such as Europe/Berlin."""
    return duckdb.execute("select count(*) from pg_timezone_names() where name = ?", [zone]).fetchall() == [(1,)]


@dataclass(frozen=True)
class TimeText:
    """How the times of a column are written, and between which moments they must lie.

    In `zone` are those that carry no offset: a time that the clocks show twice is the later one, and one that they skip
    is read as if they had not been put forward yet.
    """

    unit: str
    """`s`, `ms`, `us` since 1970, `iso`, or empty where `format` says it."""
    format: str = ""
    zone: str = "UTC"
    first: datetime = EPOCH
    last: datetime = LAST

    @property
    def name(self) -> str:
        """What such a time is called in a reason."""
        if self.format:
            return f"a time like {self.format}"
        return EPOCHS[self.unit][0] if self.unit in EPOCHS else "an ISO 8601 time"

    def instant(self, text: str) -> str:
        """SQL of type `timestamptz`: null where the text cannot be read or lies outside `[first, last]`."""
        first, last = (f"timestamptz {_quoted(edge.isoformat())}" for edge in (self.first, self.last))
        parsed = self._parsed(text)
        return f"case when {parsed} between {first} and {last} then {parsed} end"

    def unreadable(self, name: str, instant: str, text: str) -> str:
        """SQL `when … then …` for a text that is there and gives no `instant`: why."""
        days = f"{self.first.date()} to {self.last.date()}"
        outside = f"'{name} ''' || {text} || ''' is outside {days}: is the unit wrong? (first_year, last_year)'"
        wrong = f"'{name} ''' || {text} || ''' is not ' || {_quoted(self.name)}"
        reason = f"case when {self._parsed(text)} is not null then {outside} else {wrong} end"
        return f"when {instant} is null and coalesce({text}, '') <> '' then {reason}"

    def _parsed(self, text: str) -> str:
        if self.unit in EPOCHS:
            _, digits = EPOCHS[self.unit]
            whole = f"try_cast(try_cast({text} as decimal(38, {digits})) * {10**digits} as bigint)"
            return f"case when {whole} between {YEAR_1_US} and {YEAR_9999_US} then make_timestamptz({whole}) end"
        if self.format:
            time = f"try_strptime({text}, {_quoted(self.format)})"
            return self._local(f"cast({time} as timestamp)") if self._is_naive() else time
        return self._iso(text)

    def _iso(self, text: str) -> str:
        plain = f"upper(replace({text}, ',', '.'))"
        basic = r"'^(\d{4})(\d\d)(\d\d)[Tt ](\d\d)(\d\d)(\d\d)?'"
        spread = rf"regexp_replace(regexp_replace({plain}, {basic}, '\1-\2-\3 \4:\5:\6'), ':(\D|$)', '\1')"
        dashed = rf"regexp_replace({text}, '^(\d{{4}})(\d\d)(\d\d)$', '\1-\2-\3')"
        time = f"""case when regexp_full_match({text}, '{_EXTENDED}') then {plain}
                        when regexp_full_match({text}, '{_BASIC}')
                        then case when length({text}) = 8 then {dashed} else {spread} end end"""
        aware = f"try_cast({time} as timestamptz)"
        if self.zone == "UTC":
            return aware
        local = self._local(f"try_cast({time} as timestamp)")
        return f"case when regexp_matches({time}, '{_HAS_ZONE}') then {aware} else {local} end"

    def _local(self, time: str) -> str:
        return f"timezone({_quoted(self.zone)}, {time})"

    def _is_naive(self) -> bool:
        return "%z" not in self.format and "%Z" not in self.format


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
