"""The TOML that describes a database: how to reach it, which tables or queries hold what, what their columns mean."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, SecretStr, model_validator

from recsys_pipeline.adapters.sources import described_tables as shared
from recsys_pipeline.adapters.sources.config_fields import Strict, expand, read_toml, validated
from recsys_pipeline.core.errors import SettingError


class SqlTable(Strict):
    """Where the rows of a section are."""

    table: str = Field(default="", description="A table or view, such as events or shop.events")
    query: str = Field(default="", description="A select statement instead of a table, without a semicolon at its end")
    watermark: str | None = Field(
        default=None, description="A column that grows with every insert and update (updated_at), or insert (an id)"
    )

    @model_validator(mode="after")
    def _one_origin(self) -> "SqlTable":
        if bool(self.table) == bool(self.query):
            raise ValueError("give either table or query, and not both")
        return self


class InteractionColumns(shared.InteractionColumns[str]):
    source_row: str | None = None
    """A whole number by which a person finds the row again, such as its primary key: it stands in the quarantine."""


class SqlInteractions(shared.Events[InteractionColumns], SqlTable):
    """`[interactions]`: the events."""

    time_unit: Literal["native", "s", "ms", "us", "iso"] = "native"
    """`native`: the database's own timestamps; numbers since 1970; or text, which is compared as text."""
    time_separator: Literal["T", " "] = Field(
        default=" ", description="Between date and time, where time_unit is iso: 2026-01-05 10:00:00"
    )
    first_year: int = Field(default=1970, ge=2, le=9999, description="Times before this year are refused")


ItemColumns = shared.ItemColumns[str]


class SqlItems(SqlTable):
    """`[items]`: the catalogue as it is now; only `created_at` tells what was not there on an earlier day."""

    columns: ItemColumns
    category_separator: str = "|"
    time_unit: Literal["native", "s", "ms", "us", "iso"] = "native"


class LookColumns(shared.LookImages[str]):
    scene_id: str
    product_id: str
    category: str


class SqlLooks(SqlTable):
    """`[looks]`: scene-product pairs."""

    columns: LookColumns


class SqlConfig(shared.SourceConfig[SqlInteractions, SqlItems, SqlLooks]):
    """Everything that a SQL source needs to know. Relative paths start at the TOML's own folder."""

    url: SecretStr = Field(description="SQLAlchemy URL; it is shown nowhere, with or without a password")
    url_env: str | None = Field(default=None, description="Environment variable that holds the URL, instead of url")
    root: Path | None = Field(default=None, description="Folder of the images that [items] and [looks] name")
    ends: bool = Field(
        default=False,
        description="True for an archive, or a table that is loaded a day at a time: the source ends where its rows do",
    )
    batch_rows: int = Field(default=20_000, ge=1, description="Rows that are fetched at a time")

    @property
    def has_item_images(self) -> bool:
        """Whether the catalogue names pictures of a known folder, and no looks do."""
        named = self.items is not None and self.items.columns.image is not None
        return named and self.root is not None and self.looks is None


_SECTIONS: dict[tuple[str, ...], type[BaseModel]] = {
    (): SqlConfig,
    ("interactions",): SqlInteractions,
    ("interactions", "columns"): InteractionColumns,
    ("events",): shared.EventsSection,
    ("items",): SqlItems,
    ("items", "columns"): ItemColumns,
    ("looks",): SqlLooks,
    ("looks", "columns"): LookColumns,
}


def load_sql_config(path: Path, environment: Mapping[str, str] | None = None) -> SqlConfig:
    """Read a source TOML. The database is `url`, or stands in the environment variable that `url_env` names.

    `${NAME}` and `${NAME:-default}` in `url` and `root` come from `environment` (default: the process's). Raises
    `SettingError` naming the file and the key, and the valid keys where one is unknown; never a value.
    """
    document = read_toml(path)
    known = os.environ if environment is None else environment
    if isinstance(document.get("root"), str):
        document["root"] = path.parent / expand(document["root"], path, "root", known)
    document["url"] = _url(document, path, known)
    return validated(SqlConfig, document, path, _SECTIONS)


def _url(document: dict[str, Any], path: Path, environment: Mapping[str, str]) -> str:
    """The URL with its variables filled in; a relative SQLite file starts at the TOML's folder."""
    url, variable = document.get("url"), document.get("url_env")
    if (url is None) == (variable is None):
        raise SettingError(f"{path}: give either url, or url_env (the environment variable that holds it), not both")
    if variable is not None:
        if not environment.get(str(variable)):
            raise SettingError(f"{path}: url_env names the environment variable {variable}, which is not set: set it")
        url = environment[str(variable)]
    filled = expand(str(url), path, "url", environment)
    scheme, separator, database = filled.partition(":///")
    if separator and scheme.partition("+")[0] == "sqlite" and database and not database.startswith("/"):
        return f"{scheme}:///{(path.parent / database).absolute()}"
    return filled
