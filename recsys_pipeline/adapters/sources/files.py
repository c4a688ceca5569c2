"""Files as a source: csv, tsv, `::`-separated or Parquet, gzipped or not, one file, a file per day, or releases."""

import hashlib
import json
import os
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from recsys_pipeline.adapters.sources.catalogue_files import image_items, table_items, table_looks
from recsys_pipeline.adapters.sources.declared_meaning import declared_meaning, together
from recsys_pipeline.adapters.sources.event_files import EventFiles
from recsys_pipeline.adapters.sources.event_tables import EventTables
from recsys_pipeline.adapters.sources.files_config import FilesConfig, ItemFiles, ItemImages, load_files_config
from recsys_pipeline.adapters.sources.root_folder import files_below, read_image
from recsys_pipeline.adapters.sources.stl_config import StlFiles, StlItems
from recsys_pipeline.adapters.sources.stl_files import image_folders, stl_categories, stl_items, stl_looks
from recsys_pipeline.core.dataset.schema import open_duckdb
from recsys_pipeline.core.dataset.source_meaning import SourceMeaning
from recsys_pipeline.core.dataset.sources import DayRange
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.time import Window

_NO_ROWS = {"root": True, "moved_from": True, "events": True, "looks": {"fetch"}}
"""Keys that change no row that is read."""


class FilesSource:
    """A `Source` over a folder, described by a `FilesConfig`; see `conf/sources/*.toml` for examples."""

    def __init__(self, config: FilesConfig) -> None:
        self.config = config
        self.name = config.name
        tables = [name for name in ("interactions", "items", "looks") if getattr(config, name)]
        self.provides: frozenset[str] = frozenset([*tables, *(["item_images"] if config.has_item_images else [])])

    @property
    def meaning(self) -> SourceMeaning:
        """From `[events]` and `[interactions]`; another folder or path is another source."""
        config = self.config
        if config.interactions is None:
            return declared_meaning(None, config.events, "", config.moved_from)
        origins = [os.path.normpath(f"{config.root.absolute()}/{table.path}") for table in config.event_tables]
        tables = zip(config.event_tables, origins, strict=True)
        return together([declared_meaning(one, config.events, at, config.moved_from) for one, at in tables])

    @classmethod
    def from_toml(cls, path: Path) -> "FilesSource":
        """Raises `SettingError` for a config that is missing or wrong."""
        return cls(load_files_config(path))

    def days(self) -> DayRange:
        """From the events, where there are any; else from `first_day` on, without end."""
        if self.config.interactions is None:
            assert self.config.first_day is not None  # FilesConfig sees to it
            return DayRange(self.config.first_day, None)
        return self._events.days()

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        """Events of the window; rows that cannot be read carry a `defect` with the offending text.

        Raises `SourceError`, before or while streaming, where a file is missing, lacks a column or breaks off.
        """
        return self._events.read(window)

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
        with open_duckdb() as con:
            return table_items(con, self.config.root, paths, config, as_of)

    def looks(self, as_of: datetime) -> pa.Table:  # noqa: ARG002 - files of looks carry no time
        """All scene-product pairs: files of looks carry no time, so every `as_of` sees the same."""
        config = self.config.looks
        if config is None:
            raise SourceError(f"source {self.name} declares no [looks]")
        paths = self._paths(config.path, "looks.path")
        if isinstance(config, StlFiles):
            return stl_looks(self.config.root, paths, self._stl_categories(config), config)
        with open_duckdb() as con:
            return table_looks(con, self.config.root, paths, config)

    def image(self, reference: str) -> bytes:
        """Bytes of a file below the root; anything that leads out of it is refused."""
        return read_image(self.config.root, reference)

    def check(self) -> None:
        """Read what tells whether the tables can be read: of the events the newest file, items and looks whole.

        Raises `SourceError` naming the file where one is missing, lacks a column or breaks off.
        """
        now = datetime.now(UTC)
        if self.config.interactions is not None:
            self._events.check()
        if self.config.items is not None:
            self.items(now)
        if self.config.looks is not None:
            self.looks(now)

    def far_days(self) -> str:
        """Lone far days of events, in words."""
        return self._events.far_days()

    def fingerprint(self, window: Window, table: str = "interactions") -> str:
        """Digest of the config and of name, size and modification time of the files that the table is read from.

        Images of an STL layout are not looked at one by one: a folder's time tells when one was added or removed.
        """
        if table == "interactions":
            paths = self._events.files(window)
        else:
            paths = self._item_files() if table == "items" else self._look_files()
        return self._told([self._seen(path) for path in paths])

    def fingerprints(self, window: Window) -> dict[date, str]:
        """The fingerprint of each day of events, with one look at each file."""
        by_day = self._events.files_by_day(window)
        seen = {path: self._seen(path) for path in {path for paths in by_day.values() for path in paths}}
        told: dict[tuple[Path, ...], str] = {}
        for paths in map(tuple, by_day.values()):  # days of one file that grows say the same
            if paths not in told:
                told[paths] = self._told([seen[path] for path in paths])
        return {day: told[tuple(paths)] for day, paths in by_day.items()}

    def _seen(self, path: Path) -> list[str | int]:
        stat = path.stat()
        return [str(path.relative_to(self.config.root)), stat.st_size, stat.st_mtime_ns]

    def _told(self, files: list[list[str | int]]) -> str:
        left_out = _NO_ROWS if self.config.more_interactions else {**_NO_ROWS, "more_interactions": True}
        document = [self.config.model_dump(mode="json", exclude=left_out), files]
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()

    def _item_files(self) -> list[Path]:
        if isinstance(self.config.items, ItemFiles | ItemImages):
            return self._paths(self.config.items.path, "items.path")
        return self._category_files()

    def _look_files(self) -> list[Path]:
        paths = self._paths(self.config.looks.path, "looks.path") if self.config.looks else []
        folders = image_folders(self.config.root, self.config.looks) if isinstance(self.config.looks, StlFiles) else []
        return [*paths, *self._category_files(), *folders]

    def _category_files(self) -> list[Path]:
        config = self.config.looks
        return self._paths(config.categories, "looks.categories") if isinstance(config, StlFiles) else []

    def _stl_categories(self, config: StlFiles) -> dict[str, str]:
        return stl_categories(self._paths(config.categories, "looks.categories"), config.category_levels)

    @cached_property
    def _events(self) -> EventTables:
        if self.config.interactions is None:
            raise SourceError(f"source {self.name} declares no [interactions]")
        config = self.config
        return EventTables([EventFiles(config.root, one, self.name, config.first_day) for one in config.event_tables])

    def _paths(self, pattern: str, setting: str) -> list[Path]:
        return files_below(self.config.root, pattern, f"{setting} of source {self.name}")
