"""The TOML that describes a folder of files: where they are, what their columns mean, how an event becomes a value."""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from recsys_pipeline.adapters.sources.config_fields import Column, PathBelowRoot, Strict, expand, read_toml, validated
from recsys_pipeline.adapters.sources.stl_config import ImageFetch, StlFiles, StlItems

SEPARATORS = {".csv": ",", ".tsv": "\t", ".dat": "::"}


class TextTable(Strict):
    """Where a table's files are and how their lines are read; Parquet files need only `path` and `columns`."""

    path: PathBelowRoot = Field(
        description="File or glob below root, such as daily/ratings-*.dat.gz; .gz is unpacked on the fly"
    )
    separator: str = Field(
        default="", description="Between fields; by default , for .csv, tab for .tsv and :: for .dat"
    )
    header: bool = Field(default=False, description="True where the first line names the columns")
    quote: bool = Field(default=False, description='True where fields may stand in "quotes" (on one line)')
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"
    fields: int | None = Field(
        default=None, ge=1, description="Fields in a line; by default as in the header or most lines"
    )

    @model_validator(mode="after")
    def _separator_is_known(self) -> "TextTable":
        if not self.is_parquet and not self.text_separator:
            raise ValueError(f"set separator: it cannot be told from the name {self.path!r}")
        if self.quote and len(self.text_separator) != 1:
            raise ValueError("quote = true needs a separator of one character")
        return self

    @property
    def is_parquet(self) -> bool:
        return self.path.endswith(".parquet")

    @property
    def text_separator(self) -> str:
        return self.separator or SEPARATORS.get(Path(self.path.removesuffix(".gz")).suffix, "")


class InteractionColumns(Strict):
    user_id: Column
    item_id: Column
    timestamp: Column
    event: Column | None = None
    value: Column | None = None
    request_id: Column | None = None
    position: Column | None = None
    propensity: Column | None = None


class InteractionFiles(TextTable):
    """`[interactions]`: the events."""

    layout: Literal["file", "days", "releases"] = "file"
    """`file`: all files together hold all events; `days`: each holds the events of the date in its path;
    `releases`: each holds every event before the date in its path."""
    date_pattern: str = Field(
        default=r"\d{4}-\d{2}-\d{2}", description="Regular expression (or its first group) for a path's ISO date"
    )
    settle_days: int = Field(default=0, ge=0, description="Releases: wait this many more days for late rows")
    columns: InteractionColumns
    time_unit: Literal["s", "ms", "us", "iso"]
    event: str | None = Field(default=None, description="The event of every row, where no column tells it")
    values: dict[str, float] = Field(default={}, description="Event name -> value, where no column holds the value")
    user_identity: Literal["column", "first_event"] = "column"
    """`first_event` names a user by the item and time of their first event: for releases that renumber users."""

    @model_validator(mode="after")
    def _events_have_values(self) -> "InteractionFiles":
        if (self.event is None) == (self.columns.event is None):
            raise ValueError("give either event (a name for every row) or columns.event, and not both")
        if bool(self.values) == (self.columns.value is not None):
            raise ValueError("give either columns.value or the table values (event -> value), and not both")
        if self.event is not None and self.values and self.event not in self.values:
            raise ValueError(f"values has no entry for event {self.event!r}")
        try:
            re.compile(self.date_pattern)
        except re.error as error:
            raise ValueError(f"date_pattern {self.date_pattern!r} is no regular expression: {error}") from error
        return self


class ItemColumns(Strict):
    item_id: Column
    title: Column | None = None
    categories: Column | None = None
    price: Column | None = None
    available: Column | None = None
    created_at: Column | None = None
    image: Column | None = None


class ItemFiles(TextTable):
    """`[items]`: the catalogue as a table."""

    kind: Literal["table"] = "table"
    columns: ItemColumns
    category_separator: str = "|"
    category_flags: tuple[str, ...] = Field(
        default=(), description="Names of consecutive 0/1 columns that are categories"
    )
    first_flag: int | None = Field(default=None, ge=1, description="1-based position of the first of category_flags")
    time_unit: Literal["s", "ms", "us", "iso"] = "iso"

    @model_validator(mode="after")
    def _flags_have_a_place(self) -> "ItemFiles":
        if bool(self.category_flags) != (self.first_flag is not None) or (self.is_parquet and self.category_flags):
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


class LookColumns(Strict):
    scene_image: Column
    product_image: Column
    scene_id: Column | None = None
    product_id: Column | None = None
    category: Column | None = None
    left: Column | None = None
    top: Column | None = None
    right: Column | None = None
    bottom: Column | None = None

    @model_validator(mode="after")
    def _box_is_whole(self) -> "LookColumns":
        sides = [self.left, self.top, self.right, self.bottom]
        if None in sides and any(side is not None for side in sides):
            raise ValueError("a box needs left, top, right and bottom")
        return self


class LookFiles(TextTable):
    """`[looks]`: scene-product pairs. Ids default to `<folder>/<name without suffix>`, the category to the folder."""

    kind: Literal["table"] = "table"
    columns: LookColumns


class FilesConfig(Strict):
    """Everything that a files source needs to know. Relative paths of `root` start at the TOML's own folder."""

    name: str = Field(pattern=r"^[a-z0-9-]+$", description="Names the storage namespace")
    root: Path
    first_day: date | None = Field(default=None, description="First day, where there are no interactions to tell it")
    interactions: InteractionFiles | None = None
    items: Annotated[ItemFiles | ItemImages | StlItems, Field(discriminator="kind")] | None = None
    looks: Annotated[LookFiles | StlFiles, Field(discriminator="kind")] | None = None

    @model_validator(mode="before")
    @classmethod
    def _tables_by_default(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        sections = {name: document[name] for name in ("items", "looks") if isinstance(document.get(name), dict)}
        return {**document, **{name: {"kind": "table", **section} for name, section in sections.items()}}

    @model_validator(mode="after")
    def _days_are_known(self) -> "FilesConfig":
        if self.interactions is None and self.looks is None:
            raise ValueError("declare [interactions] or [looks]: there is nothing to learn from")
        if self.interactions is None and self.first_day is None:
            raise ValueError("set first_day: without [interactions] nothing else tells when this source begins")
        if isinstance(self.items, StlItems) and not isinstance(self.looks, StlFiles):
            raise ValueError('items of kind "stl" need looks of kind "stl", whose categories name them')
        return self


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
    ("items", "table"): ItemFiles,
    ("items", "table", "columns"): ItemColumns,
    ("items", "images"): ItemImages,
    ("items", "stl"): StlItems,
    ("looks", "table"): LookFiles,
    ("looks", "table", "columns"): LookColumns,
    ("looks", "stl"): StlFiles,
    ("looks", "stl", "fetch"): ImageFetch,
}
