"""Files as a source: csv, tsv, `::`-separated or Parquet, gzipped or not, one file, a file per day, or releases.

Cumulative releases, honestly in time: a release holds every event before the date in its name (measured on the 14
MovieTweetings releases: the latest event of release D is between D-1 22:57 and D 00:00:25). The events of day d are
read from the earliest release that is dated d + 1 + `settle_days` or later, which is the first that could have shown
them, and an event that a later release adds to an earlier day is not delivered: a pipeline that ran on that day could
not have known it. In MovieTweetings those late rows are 21 to 36 (5 to 7%) of a day while releases were made at 23:00
UTC, and none after; `settle_days = 1` waits a day and gets all of them. Their number is logged as a warning.
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from recsys_pipeline.adapters.sources.catalogue_files import image_items, table_items, table_looks
from recsys_pipeline.adapters.sources.files_config import (
    FilesConfig,
    InteractionFiles,
    ItemFiles,
    ItemImages,
    load_files_config,
)
from recsys_pipeline.adapters.sources.image_folder import read_image
from recsys_pipeline.adapters.sources.interaction_files import interaction_rows
from recsys_pipeline.adapters.sources.stl_config import StlFiles, StlItems
from recsys_pipeline.adapters.sources.stl_files import image_folders, stl_categories, stl_items, stl_looks
from recsys_pipeline.core.dataset.schema import INTERACTIONS, TRACE, open_duckdb
from recsys_pipeline.core.dataset.sources import DayRange
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.types import Window

logger = logging.getLogger(__name__)

BATCH_ROWS = 100_000
STREAM = pa.schema([field.with_nullable(True) for field in [*INTERACTIONS, *TRACE]])
ONE_DAY = timedelta(days=1)
LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class _Share:
    """What one file delivers: events in `[start, end)`, and at `start` the rows whose time cannot be read.

    `strict` marks files whose rows must all lie in that span; those that do not are delivered at `start` as defects.
    """

    path: Path
    start: datetime
    end: datetime
    strict: bool = False


class FilesSource:
    """A `Source` over a folder, described by a `FilesConfig`; see `conf/sources/*.toml` for examples."""

    def __init__(self, config: FilesConfig) -> None:
        self.config = config
        self._known_spans: dict[tuple[Path, int, int], tuple[datetime, datetime] | None] = {}
        self.name = config.name
        self.provides = frozenset(name for name in ("interactions", "items", "looks") if getattr(config, name))

    @classmethod
    def from_toml(cls, path: Path) -> "FilesSource":
        """Raises `SettingError` for a config that is missing or wrong."""
        return cls(load_files_config(path))

    def days(self) -> DayRange:
        """From the data: for `file` by reading the times once, else by the dates in the paths."""
        if self.config.interactions is None:
            assert self.config.first_day is not None  # FilesConfig sees to it
            return DayRange(self.config.first_day, None)
        layout = self.config.interactions.layout
        dates = [found for found, _ in self._dated_files] if layout != "file" else []
        if layout == "days":
            return DayRange(dates[0], dates[-1])
        if layout == "releases":
            releases = self._releases()
            return DayRange(releases[0].start.date(), (releases[-1].end - ONE_DAY).date())
        spans = [span for _, span in self._spans()]
        return DayRange(min(first for first, _ in spans).date(), max(last for _, last in spans).date())

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        """Events of the window; rows that cannot be read carry a `defect` with the offending text.

        Raises `SourceError`, before or while streaming, where a file is missing, lacks a column or breaks off.
        """
        return pa.RecordBatchReader.from_batches(STREAM, self._stream(self._shares(window), window))

    def items(self, as_of: datetime) -> pa.Table:
        """The catalogue, without items created at or after `as_of` where the files tell."""
        config = self.config.items
        if config is None:
            raise SourceError(f"source {self.name} declares no [items]")
        if isinstance(config, StlItems):
            assert isinstance(self.config.looks, StlFiles)  # FilesConfig sees to it
            return stl_items(self._stl_categories(self.config.looks), self.config.looks)
        paths = self._paths(config.path, "items.path")
        if isinstance(config, ItemImages):
            return image_items(self.config.root, paths, config)
        with _failures_named(paths[0]), open_duckdb() as con:
            return table_items(con, self.config.root, paths, config, as_of)

    def looks(self, as_of: datetime) -> pa.Table:  # noqa: ARG002 - files of looks carry no time
        """All scene-product pairs: files of looks carry no time, so every `as_of` sees the same."""
        config = self.config.looks
        if config is None:
            raise SourceError(f"source {self.name} declares no [looks]")
        paths = self._paths(config.path, "looks.path")
        if isinstance(config, StlFiles):
            return stl_looks(self.config.root, paths, self._stl_categories(config), config)
        with _failures_named(paths[0]), open_duckdb() as con:
            return table_looks(con, self.config.root, paths, config)

    def image(self, reference: str) -> bytes:
        """Bytes of a file below the root; anything that leads out of it is refused."""
        return read_image(self.config.root, reference)

    def fingerprint(self, window: Window, table: str = "interactions") -> str:
        """Digest of the config and of name, size and modification time of the files that the table is read from.

        Images of an STL layout are not looked at one by one: a folder's time tells when one was added or removed.
        """
        paths = {"interactions": self._event_files, "items": self._item_files, "looks": self._look_files}[table](window)
        stats = [(str(path.relative_to(self.config.root)), path.stat()) for path in paths]
        files = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
        document = [self.config.model_dump(mode="json", exclude={"root": True, "looks": {"fetch"}}), files]
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()

    def _event_files(self, window: Window) -> list[Path]:
        return [share.path for share in self._shares(window)]

    def _item_files(self, _: Window) -> list[Path]:
        if isinstance(self.config.items, ItemFiles | ItemImages):
            return self._paths(self.config.items.path, "items.path")
        return self._category_files()

    def _look_files(self, _: Window) -> list[Path]:
        paths = self._paths(self.config.looks.path, "looks.path") if self.config.looks else []
        folders = image_folders(self.config.root, self.config.looks) if isinstance(self.config.looks, StlFiles) else []
        return [*paths, *self._category_files(), *folders]

    def _category_files(self) -> list[Path]:
        config = self.config.looks
        return self._paths(config.categories, "looks.categories") if isinstance(config, StlFiles) else []

    def _stl_categories(self, config: StlFiles) -> dict[str, str]:
        return stl_categories(self._paths(config.categories, "looks.categories"), config.category_levels)

    @property
    def _interactions(self) -> InteractionFiles:
        if self.config.interactions is None:
            raise SourceError(f"source {self.name} declares no [interactions]")
        return self.config.interactions

    def _paths(self, pattern: str, setting: str) -> list[Path]:
        """Files that a pattern names, sorted; raises `SourceError` where there are none."""
        root = self.config.root
        paths = sorted(path for path in root.glob(pattern) if path.is_file())
        if not paths:
            raise SourceError(f"no file {pattern} below {root}: check root and {setting} of source {self.name}")
        return paths

    @property
    def _dated_files(self) -> list[tuple[date, Path]]:
        config = self._interactions
        dated = []
        for path in self._paths(config.path, "interactions.path"):
            name = path.relative_to(self.config.root).as_posix()
            match = re.search(config.date_pattern, name)
            text = match[1 if match.re.groups else 0] if match else ""
            try:
                dated.append((date.fromisoformat(text), path))
            except ValueError as error:
                raise SourceError(
                    f"{name} has no ISO date where interactions.date_pattern {config.date_pattern!r} looks for it"
                ) from error
        return sorted(dated)

    def _shares(self, window: Window) -> list[_Share]:
        """The files that the window needs, each with the span that it delivers."""
        layout = self._interactions.layout
        if layout == "file":
            shares = [_Share(path, _midnight(span[0].date()), LAST) for path, span in self._spans()]
        elif layout == "days":
            shares = [_Share(path, _midnight(day), _midnight(day) + ONE_DAY, True) for day, path in self._dated_files]
        else:
            shares = self._releases()
        return [share for share in shares if share.start < window.end and window.start < share.end]

    def _releases(self) -> list[_Share]:
        settle = timedelta(days=self._interactions.settle_days)
        ends = [_midnight(day) - settle for day, _ in self._dated_files]
        if len(set(ends)) < len(ends):
            raise SourceError(f"source {self.name} has two releases of one date: interactions.path must name one each")
        oldest = self._dated_files[0][1]
        span = self._span(oldest)
        if span is None:
            raise SourceError(f"{oldest} is the first release and is empty: remove it")
        starts = [_midnight(span[0].date()), *ends[:-1]]
        return [_Share(path, start, end) for (_, path), start, end in zip(self._dated_files, starts, ends, strict=True)]

    def _spans(self) -> list[tuple[Path, tuple[datetime, datetime]]]:
        """Files of layout `file` that have rows, each with its first and last time."""
        paths = self._paths(self._interactions.path, "interactions.path")
        spans = [(path, span) for path in paths if (span := self._span(path)) is not None]
        if not spans:
            raise SourceError(f"{paths[0]} has no rows: check interactions.path of source {self.name}")
        return spans

    def _span(self, path: Path) -> tuple[datetime, datetime] | None:
        """First and last readable time in a file, None where it has no rows; read once per version of the file."""
        stat = path.stat()
        version = (path, stat.st_size, stat.st_mtime_ns)
        if version not in self._known_spans:
            rows = interaction_rows(path, self._relative(path), self._interactions)
            with _failures_named(path), open_duckdb() as con:
                found = con.execute(f"select count(*), min(timestamp), max(timestamp) from ({rows})").fetchall()[0]
            if found[0] and found[1] is None:
                raise SourceError(f"no row of {path} has a readable time: check interactions.time_unit and its column")
            self._known_spans[version] = (found[1], found[2]) if found[0] else None
        return self._known_spans[version]

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.config.root).as_posix()

    def _stream(self, shares: list[_Share], window: Window) -> Iterator[pa.RecordBatch]:
        for share in shares:
            self._warn_of_late_rows(share)
            with _failures_named(share.path), open_duckdb() as con:
                for batch in con.sql(self._share_sql(share, window)).to_arrow_reader(BATCH_ROWS):
                    yield batch.cast(STREAM)

    def _warn_of_late_rows(self, share: _Share) -> None:
        """Say how many events a release adds to the time before its span: they are in no other release's span."""
        paths = [path for _, path in self._dated_files] if self._interactions.layout == "releases" else []
        if share.path not in paths[1:]:
            return
        earlier = paths[paths.index(share.path) - 1]
        counts = []
        for path in (earlier, share.path):
            rows = interaction_rows(path, self._relative(path), self._interactions)
            with _failures_named(path), open_duckdb() as con:
                before = f"select count(*) from ({rows}) where timestamp < timestamptz '{share.start.isoformat()}'"
                counts += con.execute(before).fetchall()[0]
        if counts[1] > counts[0]:
            logger.warning(
                "%s holds %d rows from before %s that %s lacks: they came late and are not delivered; "
                "raise interactions.settle_days to wait for such rows",
                *(share.path.name, counts[1] - counts[0], share.start.isoformat(), earlier.name),
            )

    def _share_sql(self, share: _Share, window: Window) -> str:
        span = f"timestamptz '{share.start.isoformat()}' and timestamp < timestamptz '{share.end.isoformat()}'"
        defect, known = "defect", "timestamp is not null"
        if share.strict:
            known = f"timestamp >= {span}"
            outside = f"'timestamp ' || timestamp || ' is outside {share.start.date()}, the day of its file'"
            defect = f"case when defect is null and not ({known}) then {outside} else defect end"
        start, end = (edge.isoformat() for edge in (max(share.start, window.start), min(share.end, window.end)))
        return f"""
            select * exclude (delivered) from (
                select * replace ({defect} as defect),
                       case when {known} then timestamp else timestamptz '{share.start.isoformat()}' end as delivered
                from ({interaction_rows(share.path, self._relative(share.path), self._interactions)}))
            where delivered >= timestamptz '{start}' and delivered < timestamptz '{end}'
        """


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


@contextmanager
def _failures_named(path: Path) -> Iterator[None]:
    """Turn DuckDB's error into one that names the file; its first line says what is wrong."""
    try:
        yield
    except duckdb.Error as error:
        cause = " ".join(str(error).split())[:300]
        raise SourceError(
            f"{path} cannot be read to its end (cut short, wrong encoding, mixed line ends?): {cause}"
        ) from error
