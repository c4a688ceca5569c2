"""The TOML that describes a folder of files: where they are, what their columns mean, how an event becomes a value."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from recsys_pipeline.adapters.sources import described_tables as shared
from recsys_pipeline.adapters.sources.config_fields import (
    Column,
    Encoding,
    PathBelowRoot,
    Strict,
    expand,
    read_toml,
    validated,
)
from recsys_pipeline.adapters.sources.stl_config import ImageFetch, StlFiles, StlItems
from recsys_pipeline.adapters.sources.text_times import FIRST_YEAR, TimeText, format_error, tomorrow, zone_is_known

SEPARATORS = {".csv": ",", ".tsv": "\t", ".dat": "::"}
MICROSECOND = timedelta(microseconds=1)


JSON_LINES = (".jsonl", ".ndjson", ".json")


class TextTable(Strict):
    """Where a table's files are and how their lines are read; Parquet and JSON lines need only `path` and `columns`."""

    path: PathBelowRoot = Field(
        description="File or glob below root, such as daily/ratings-*.dat.gz; .gz is unpacked on the fly"
    )
    separator: str = Field(
        default="", description="Between fields; by default , for .csv, tab for .tsv and :: for .dat"
    )
    header: bool = Field(default=False, description="True where the first line names the columns")
    quote: bool | None = Field(
        default=None,
        description='Whether fields that begin with " end with one; by default, where separator is one character',
    )
    encoding: Encoding = "utf-8"
    fields: int | None = Field(
        default=None, ge=1, description="Fields in a line; by default as in the header or most lines"
    )
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'", "_"] = Field(default="", description="Between groups of three digits")
    hive: bool = Field(default=False, description="True where folders name=value below root are columns")

    @model_validator(mode="after")
    def _separators_are_known(self) -> "TextTable":
        if not self.is_parquet and not self.is_json and not self.text_separator:
            raise ValueError(f"set separator: it cannot be told from the name {self.path!r}")
        if self.quote and len(self.text_separator) != 1:
            raise ValueError("quote = true needs a separator of one character")
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}")
        return self

    @property
    def is_parquet(self) -> bool:
        return self.path.endswith(".parquet")

    @property
    def is_json(self) -> bool:
        """Whether each line is a JSON object."""
        return not self.separator and self.path.removesuffix(".gz").endswith(JSON_LINES)

    @property
    def is_quoted(self) -> bool:
        """Whether double quotes around a field are no part of it."""
        return self.quote is not False and len(self.text_separator) == 1

    @property
    def text_separator(self) -> str:
        return self.separator or SEPARATORS.get(Path(self.path.removesuffix(".gz")).suffix, "")


class Times(Strict):
    """How the times of a table are written."""

    time_unit: Literal["s", "ms", "us", "iso"] | None = None
    time_format: str | None = Field(default=None, description="strptime format instead of time_unit: %d-%m-%y %H:%M")
    time_zone: str = Field(default="UTC", description="IANA zone of times without an offset, such as Europe/Berlin")
    first_year: int = Field(default=FIRST_YEAR, ge=1, le=9999, description="Times before this year are refused")
    last_year: int | None = Field(
        default=None, ge=1, le=9998, description="Times after this year are refused; by default those after tomorrow"
    )

    @model_validator(mode="after")
    def _times_can_be_read(self) -> "Times":
        if self.time_unit and self.time_format:
            raise ValueError("give either time_unit or time_format, and not both")
        if self.time_format is not None and (wrong := format_error(self.time_format)):
            raise ValueError(f"time_format {self.time_format!r} cannot be used: {wrong}")
        if not zone_is_known(self.time_zone):
            raise ValueError(f"time_zone {self.time_zone!r} is no IANA time zone, such as Europe/Berlin")
        if self.last_year is not None and self.last_year < self.first_year:
            raise ValueError(f"last_year {self.last_year} is before first_year {self.first_year}")
        return self

    def time_text(self) -> TimeText:
        """How they are read now: the default limit is a day from now."""
        last = tomorrow() if self.last_year is None else datetime(self.last_year + 1, 1, 1, tzinfo=UTC) - MICROSECOND
        unit = "" if self.time_format else self.time_unit or "iso"
        return TimeText(unit, self.time_format or "", self.time_zone, datetime(self.first_year, 1, 1, tzinfo=UTC), last)


InteractionColumns = shared.InteractionColumns[Column]
ItemColumns = shared.ItemColumns[Column]


class InteractionFiles(shared.Events[InteractionColumns], Times, TextTable):
    """`[interactions]`: the events."""

    layout: Literal["file", "days", "releases"] = "file"
    """`file`: all files together hold all events; `days`: each holds the events of the date in its path;
    `releases`: each holds every event before the date in its path."""
    date_pattern: str = Field(
        default=r"\d{4}-\d{2}-\d{2}", description="Regular expression (or its first group) for a path's ISO date"
    )
    settle_days: int = Field(default=0, ge=0, description="Releases: wait this many more days for late rows")
    item_separator: str | None = Field(
        default=None, min_length=1, description="Between the items of a field that holds a list of them: a row each"
    )
    tie_order: Literal["hash", "lines"] = "hash"
    """`lines`: of one user's rows of one instant, that of an earlier line came first; else a draw orders them."""
    user_identity: Literal["column", "first_event"] = "column"
    """`first_event` names a user by the item and time of their first event: for releases that renumber users."""

    @model_validator(mode="after")
    def _times_are_described(self) -> "InteractionFiles":
        if self.time_unit is None and self.time_format is None:
            raise ValueError("set time_unit (s, ms, us or iso) or time_format")
        if self.tie_order == "lines" and self.time_unit == "us":
            raise ValueError('tie_order = "lines" tells rows apart by microseconds, which time_unit = "us" needs')
        return self

    @model_validator(mode="after")
    def _pattern_is_valid(self) -> "InteractionFiles":
        try:
            re.compile(self.date_pattern)
        except re.error as error:
            raise ValueError(f"date_pattern {self.date_pattern!r} is no regular expression: {error}") from error
        return self


class ItemFiles(Times, TextTable):
    """`[items]`: the catalogue as a table."""

    kind: Literal["table"] = "table"
    columns: ItemColumns
    category_separator: str = "|"
    category_flags: tuple[str, ...] = Field(
        default=(), description="Names of consecutive 0/1 columns that are categories"
    )
    first_flag: int | None = Field(default=None, ge=1, description="1-based position of the first of category_flags")
    first_year: int = Field(default=1, ge=1, le=9999, description="Times before this year are refused")
    last_year: int | None = Field(default=9998, ge=1, le=9998, description="Times after this year are refused")

    @model_validator(mode="after")
    def _flags_have_a_place(self) -> "ItemFiles":
        if bool(self.category_flags) != (self.first_flag is not None) or (
            self.category_flags and not self.text_separator
        ):
            raise ValueError("category_flags and first_flag belong together, in text files")
        return self


class ItemImages(Strict):
    """`[items]` with `kind = "images"`: each image file is an item, its folder is its category."""

    kind: Literal["images"]
    path: PathBelowRoot = Field(description="Glob below root, such as images/*/*.jpg")
    exclude: tuple[str, ...] = Field(default=(), description="Folder names that hold no items")
    titles: PathBelowRoot | None = Field(
        default=None, description="JSON file that maps file names without suffix to titles"
    )


class LookColumns(shared.LookImages[Column]):
    scene_id: Column | None = None
    product_id: Column | None = None
    category: Column | None = None


class LookFiles(TextTable):
    """`[looks]`: scene-product pairs. Ids default to `<folder>/<name without suffix>`, the category to the folder."""

    kind: Literal["table"] = "table"
    columns: LookColumns


AnyItems = Annotated[ItemFiles | ItemImages | StlItems, Field(discriminator="kind")]
AnyLooks = Annotated[LookFiles | StlFiles, Field(discriminator="kind")]


class FilesConfig(shared.SourceConfig[InteractionFiles, AnyItems, AnyLooks]):
    """Everything that a files source needs to know. Relative paths of `root` start at the TOML's own folder."""

    root: Path
    more_interactions: tuple[InteractionFiles, ...] = Field(
        default=(), description="The second [[interactions]] and those after it: files with columns of their own"
    )

    @property
    def event_tables(self) -> tuple[InteractionFiles, ...]:
        """Every `[[interactions]]`."""
        return () if self.interactions is None else (self.interactions, *self.more_interactions)

    @model_validator(mode="before")
    @classmethod
    def _tables_by_default(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        if isinstance(document.get("interactions"), list):
            first, *more = document["interactions"] or [{}]
            document = {**document, "interactions": first, "more_interactions": more}
        sections = {name: document[name] for name in ("items", "looks") if isinstance(document.get(name), dict)}
        return {**document, **{name: {"kind": "table", **section} for name, section in sections.items()}}

    @model_validator(mode="after")
    def _stl_items_have_looks(self) -> "FilesConfig":
        if isinstance(self.items, StlItems) and not isinstance(self.looks, StlFiles):
            raise ValueError('items of kind "stl" need looks of kind "stl", whose categories name them')
        return self

    @model_validator(mode="after")
    def _tables_go_together(self) -> "FilesConfig":
        tables = self.event_tables
        if len(tables) > 1 and any(table.layout != "file" for table in tables):
            raise ValueError('several [[interactions]] need layout = "file"; one of files per day stands alone')
        if len({table.columns.value is None for table in tables}) > 1:
            raise ValueError("either every [[interactions]] has columns.value, or every one values")
        worths: dict[str, float] = {}
        for name, worth in (pair for table in tables for pair in table.values.items()):
            if worths.setdefault(name, worth) != worth:
                raise ValueError(f"two [[interactions]] give event {name!r} two values: {worths[name]} and {worth}")
        return self

    def _valued_events(self) -> set[str] | None:
        """Events of `values`; None where a column says what an event is worth."""
        if any(table.columns.value is not None for table in self.event_tables):
            return None
        return {name for table in self.event_tables for name in table.values}

    @property
    def has_item_images(self) -> bool:
        """Whether the catalogue names pictures, and no looks do."""
        named = isinstance(self.items, ItemImages) or (
            isinstance(self.items, ItemFiles) and self.items.columns.image is not None
        )
        return named and self.looks is None


def load_files_config(path: Path, environment: Mapping[str, str] | None = None) -> FilesConfig:
    """Read a source TOML; `${NAME}` and `${NAME:-default}` in `root` come from `environment` (default: the process's).

    Raises `SettingError` naming the file and the key, and the valid keys where one is unknown.
    """
    document = read_toml(path)
    if isinstance(document.get("root"), str):
        document["root"] = path.parent / expand(document["root"], path, "root", environment)
    return validated(FilesConfig, document, path, _SECTIONS)


_SECTIONS: dict[tuple[str, ...], type[BaseModel]] = {
    (): FilesConfig,
    ("interactions",): InteractionFiles,
    ("interactions", "columns"): InteractionColumns,
    ("more_interactions",): InteractionFiles,
    ("more_interactions", "columns"): InteractionColumns,
    ("events",): shared.EventsSection,
    ("items", "table"): ItemFiles,
    ("items", "table", "columns"): ItemColumns,
    ("items", "images"): ItemImages,
    ("items", "stl"): StlItems,
    ("looks", "table"): LookFiles,
    ("looks", "table", "columns"): LookColumns,
    ("looks", "stl"): StlFiles,
    ("looks", "stl", "fetch"): ImageFetch,
}
