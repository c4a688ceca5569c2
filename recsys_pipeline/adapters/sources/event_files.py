"""Which files hold the events of a window, by the layout of `[interactions]`, and the events in them.

Cumulative releases, honestly in time: a release holds every event before the date in its name (measured on the 14
MovieTweetings releases: the latest event of release D is between D-1 22:57 and D 00:00:25). The events of day d are
read from the earliest release that is dated d + 1 + `settle_days` or later, which is the first that could have shown
them, and an event that a later release adds to an earlier day is not delivered: a pipeline that ran on that day could
not have known it. In MovieTweetings those late rows are 21 to 36 (5 to 7%) of a day while releases were made at 23:00
UTC, and none after; `settle_days = 1` waits a day and gets all of them. Their number is logged as a warning.

Of a file per day, a day whose file is not there is refused and not taken as empty: its file may be late, and a day
that was once read as empty would hide what comes.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path

import duckdb
import pyarrow as pa

from recsys_pipeline.adapters.sources.file_shares import Share, delivered, new_undated
from recsys_pipeline.adapters.sources.files_config import InteractionFiles
from recsys_pipeline.adapters.sources.interaction_files import interaction_rows
from recsys_pipeline.adapters.sources.root_folder import files_below
from recsys_pipeline.adapters.sources.text_tables import failures_named
from recsys_pipeline.core.dataset.far_days import Body, body_of
from recsys_pipeline.core.dataset.schema import FILED_AT, INTERACTIONS, TRACE, open_duckdb
from recsys_pipeline.core.dataset.shares import exceeds_share
from recsys_pipeline.core.dataset.sources import DayRange
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import DAY, Window

logger = logging.getLogger(__name__)

BATCH_ROWS = 100_000
UNREADABLE_SHARE = 0.01
"""Of the rows of a file, as many as a run puts aside before it fails."""
STREAM = pa.schema([field.with_nullable(True) for field in [*INTERACTIONS, *TRACE, FILED_AT]])
LAST = datetime.max.replace(tzinfo=UTC)


class EventFiles:
    """The files of `[interactions]` below the root of a source."""

    def __init__(self, root: Path, config: InteractionFiles, source: str, first_day: date | None = None) -> None:
        self.root = root
        self.config = config
        self.source = source
        self.first_day = first_day
        self._known_dates: dict[Path, date] = {}
        self._known_days: dict[tuple[Path, int, int], Counter[date]] = {}

    def days(self) -> DayRange:
        """From the data: for `file` by reading the times once, else by the dates in the paths."""
        if self.config.layout == "days":
            dates = [found for found, _ in self._dated_files]
            between = Window.of_days(dates[0], dates[-1]).days()
            return DayRange(dates[0], dates[-1], frozenset(between) - set(dates))
        if self.config.layout == "releases":
            releases = self._releases()
            return DayRange(releases[0].start.date(), (releases[-1].end - DAY).date())
        body = self.body()
        return DayRange(body.first, body.last)

    def body(self) -> Body:
        """Layout `file`: the days of all files, from the times, without lone far ones."""
        counted = self._counted()
        return self._body(sum((rows for _, rows in counted), Counter()), counted[0][0])

    def far_days(self) -> str:
        """Lone far days, in words."""
        return self.body().told() if self.config.layout == "file" else ""

    def read(self, window: Window) -> pa.RecordBatchReader:
        """Events of the window; rows that cannot be read carry a `defect` with the offending text.

        Raises `SourceError`, before or while streaming, where a file is missing, lacks a column or breaks off.
        """
        shares = self._shares(window)
        if self.config.layout == "days":
            self._refuse_absent_days(shares, window)
        return pa.RecordBatchReader.from_batches(STREAM, self._stream(shares, window))

    def files(self, window: Window) -> list[Path]:
        """The files that hold the window's events; none for days whose file is not there."""
        return [share.path for share in self._shares(window)]

    def files_by_day(self, window: Window) -> dict[date, list[Path]]:
        """The files that hold each day's events; days whose file is not there are left out."""
        shares, found = self._shares(window), {}
        for day in window.days():
            own = Window.of_day(day)
            paths = [share.path for share in shares if share.start < own.end and own.start < share.end]
            if paths:
                found[day] = paths
        return found

    def check(self) -> None:
        """Raise `SourceError` where the newest file (of layout `file` any) cannot be read to its end, lacks a column or
        has no readable time in more than `UNREADABLE_SHARE` of its rows.
        """
        if self.config.layout == "file":
            self.body()
            paths = [path for path, _ in self._counted()]
        else:
            paths = [path for _, path in self._dated_files[-1:] if self._rows_by_day(path)]
        for path in paths:
            self._check_times(path)

    def _check_times(self, path: Path) -> None:
        with failures_named(path), open_duckdb() as con:
            rows = interaction_rows(con, self.root, path, self.config)
            found = con.execute(
                f"select count(*), count(*) filter (timestamp is null), arg_min(defect, source_row) filter "
                f"(timestamp is null), min(source_row) filter (timestamp is null) from ({rows})"
            ).fetchall()[0]
        total, unreadable, why, row = found
        if exceeds_share(unreadable, total, UNREADABLE_SHARE):
            raise SourceError(
                f"{unreadable} of {total} rows of {path} have no readable time, the first is row {row}: {why}; "
                "check interactions.time_unit, time_format and columns.timestamp"
            )

    def _paths(self) -> list[Path]:
        return files_below(self.root, self.config.path, f"interactions.path of source {self.source}")

    @property
    def _dated_files(self) -> list[tuple[date, Path]]:
        """The files with the dates in their paths; the folder is looked at each time, since files come and go."""
        paths = self._paths()
        for path in paths:
            if path not in self._known_dates:
                self._known_dates[path] = self._date_of(self._relative(path))
        dated = [(self._known_dates[path], path) for path in paths]
        return self._near(sorted((one for one in dated if one[0] >= self._first), key=lambda one: one[0]))

    def _near(self, dated: list[tuple[date, Path]]) -> list[tuple[date, Path]]:
        """Raise `SourceError` for files whose dates lie far and alone: a name is easily mistyped."""
        if not dated:
            raise SourceError(f"source {self.source} has no file of first_day = {self.first_day} or later")
        far = body_of(Counter(day for day, _ in dated), self.config.max_gap_days, self.first_day is not None).far
        if far:
            names = ", ".join(self._relative(path) for day, path in dated if day in far)
            raise SourceError(
                f"{names}: months away from the dates of all other files of source {self.source}. Correct the name, "
                "set first_day, or set interactions.max_gap_days above the gap"
            )
        return dated

    @property
    def _first(self) -> date:
        """No day before it is part of the source."""
        return self.first_day or date.min

    def _date_of(self, name: str) -> date:
        match = re.search(self.config.date_pattern, name)
        try:
            return date.fromisoformat(match[1 if match.re.groups else 0] if match else "")
        except ValueError as error:
            raise SourceError(
                f"{name} has no ISO date where interactions.date_pattern {self.config.date_pattern!r} looks for it"
            ) from error

    def _shares(self, window: Window) -> list[Share]:
        """The files that the window needs, each with the span that it delivers."""
        if self.config.layout == "file":
            shares = self._growing()
        elif self.config.layout == "days":
            shares = [Share(path, _midnight(day), _midnight(day) + DAY, "days") for day, path in self._dated_files]
        else:
            shares = self._releases()
        return [share for share in shares if share.start < window.end and window.start < share.end]

    def _refuse_absent_days(self, shares: list[Share], window: Window) -> None:
        there = {share.start.date() for share in shares}
        absent = [day for day in window.days() if day not in there]
        if absent:
            others = f" (and {len(absent) - 1} days more)" if absent[1:] else ""
            raise SourceError(
                f"no file of {absent[0]}{others} at {self.config.path} below {self.root}: a day is taken in once its "
                "file is there; give it a file without rows where it had no events"
            )

    def _releases(self) -> list[Share]:
        dated = self._dated_files
        ends = [_midnight(day) - self.config.settle_days * DAY for day, _ in dated]
        if len(set(ends)) < len(ends):
            raise SourceError(
                f"source {self.source} has two releases of one date: interactions.path must name one each"
            )
        oldest = dated[0][1]
        rows = self._rows_by_day(oldest)
        if not rows:
            raise SourceError(f"{oldest} is the first release and is empty: remove it")
        starts = [_midnight(self._body(rows, oldest).first), *ends[:-1]]
        earlier = [None, *(path for _, path in dated)]
        return [
            Share(path, start, end, "releases", before)
            for (_, path), start, end, before in zip(dated, starts, ends, earlier[:-1], strict=True)
        ]

    def _growing(self) -> list[Share]:
        """Layout `file`: each file from its first day in the body on."""
        body = self.body()
        end = _midnight(min(day for day in body.far if day > body.last)) if body.after else LAST
        return [
            Share(path, _midnight(min((day for day in rows if day >= body.first), default=body.first)), end, "file")
            for path, rows in self._counted()
        ]

    def _counted(self) -> list[tuple[Path, Counter[date]]]:
        """Files of layout `file` that have rows, each with their number by day."""
        paths = self._paths()
        counted = [(path, rows) for path in paths if (rows := self._rows_by_day(path))]
        if not counted:
            raise SourceError(f"{paths[0]} has no rows: check interactions.path of source {self.source}")
        return counted

    def _body(self, rows: Counter[date], path: Path) -> Body:
        kept = {day: count for day, count in rows.items() if day >= self._first}
        if not kept:
            raise SourceError(f"{path} has no row of first_day = {self.first_day} or later")
        return body_of(kept, self.config.max_gap_days, self.first_day is not None)

    def _rows_by_day(self, path: Path) -> Counter[date]:
        """Rows with a readable time in a file, by day; none where it has no rows. Read once per version of the file."""
        stat = path.stat()
        version = (path, stat.st_size, stat.st_mtime_ns)
        if version not in self._known_days:
            with failures_named(path), open_duckdb() as con:
                rows = interaction_rows(con, self.root, path, self.config)
                found = dict(con.execute(f"select timestamp::date, count(*) from ({rows}) group by 1").fetchall())
                if set(found) == {None}:
                    first = con.execute(f"select source_row, defect from ({rows}) order by 1 limit 1").fetchall()[0]
                    raise SourceError(
                        f"no row of {path} has a readable time (row {first[0]}: {first[1]}): "
                        "check interactions.time_unit (or time_format) and its column"
                    )
            self._known_days[version] = Counter({day: count for day, count in found.items() if day is not None})
        return self._known_days[version]

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _stream(self, shares: list[Share], window: Window) -> Iterator[pa.RecordBatch]:
        for share in shares:
            self._warn_of_late_rows(share)
            with failures_named(share.path), open_duckdb() as con:
                for batch in con.sql(self._share_sql(con, share, window)).to_arrow_reader(BATCH_ROWS):
                    yield batch.cast(STREAM)

    def _warn_of_late_rows(self, share: Share) -> None:
        """Say how many events a release adds to the time before its span: they are in no other release's span."""
        earlier = share.earlier
        if earlier is None:
            return
        counts = []
        for path in (earlier, share.path):
            with failures_named(path), open_duckdb() as con:
                rows = interaction_rows(con, self.root, path, self.config)
                before = f"select count(*) from ({rows}) where timestamp < timestamptz '{share.start.isoformat()}'"
                counts += con.execute(before).fetchall()[0]
        if counts[1] > counts[0]:
            logger.warning(
                "%s holds %d rows from before %s that %s lacks: they came late and are not delivered; "
                "raise interactions.settle_days to wait for such rows",
                *(share.path.name, counts[1] - counts[0], share.start.isoformat(), earlier.name),
            )

    def _share_sql(self, con: duckdb.DuckDBPyConnection, share: Share, window: Window) -> str:
        rows = interaction_rows(con, self.root, share.path, self.config)
        if share.earlier is not None and share.start >= window.start:
            rows = new_undated(rows, interaction_rows(con, self.root, share.earlier, self.config))
        return delivered(rows, share, window, self._first)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
