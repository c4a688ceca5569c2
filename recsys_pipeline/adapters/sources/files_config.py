"""The TOML that describes a folder of files: where they are, what their columns mean, how an event becomes a value."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from recsys_pipeline.adapters.sources import described_tables as shared
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


InteractionColumns = shared.InteractionColumns[Column]
ItemColumns = shared.ItemColumns[Column]


class InteractionFiles(shared.Events[InteractionColumns], TextTable):
    """`[interactions]`: the events."""

    layout: Literal["file", "days", "releases"] = "file"
    """`file`: all files together hold all events; `days`: each holds the events of the date in its path;
    `releases`: each holds every event before the date in its path."""
    date_pattern: str = Field(
        default=r"\d{4}-\d{2}-\d{2}", description="Regular expression (or its first group) for a path's ISO date"
    )
    settle_days: int = Field(default=0, ge=0, description="Releases: wait this many more days for late rows")
    time_unit: Literal["s", "ms", "us", "iso"]
    user_identity: Literal["column", "first_event"] = "column"
    """`first_event` names a user by the item and time of their first event: for releases that renumber users."""

    @model_validator(mode="after")
    def _pattern_is_valid(self) -> "InteractionFiles":
        try:
            re.compile(self.date_pattern)
        except re.error as error:
            raise ValueError(f"date_pattern {self.date_pattern!r} is no regular expression: {error}") from error
        return self


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

    @model_validator(mode="before")
    @classmethod
    def _tables_by_default(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        sections = {name: document[name] for name in ("items", "looks") if isinstance(document.get(name), dict)}
        return {**document, **{name: {"kind": "table", **section} for name, section in sections.items()}}

    @model_validator(mode="after")
    def _stl_items_have_looks(self) -> "FilesConfig":
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
