"""Items and looks from files: small tables, read whole."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from recsys_pipeline.adapters.sources.files_config import (
    Column,
    ItemColumns,
    ItemFiles,
    ItemImages,
    LookFiles,
    TextTable,
)
from recsys_pipeline.adapters.sources.identifiers import identifier_sql
from recsys_pipeline.adapters.sources.text_lists import list_elements
from recsys_pipeline.adapters.sources.text_tables import (
    failures_named,
    plain_number,
    sample_lines,
    text_rows,
    unreadable,
)
from recsys_pipeline.core.dataset.schema import ITEMS, LOOKS, TRACE, quoted
from recsys_pipeline.core.errors import SourceError

SIDES = ("left", "top", "right", "bottom")


def table_items(
    con: duckdb.DuckDBPyConnection, root: Path, paths: list[Path], config: ItemFiles, as_of: datetime
) -> pa.Table:
    """The catalogue in tables at `paths`; items that the files date at or after `as_of` are left out.

    An item without a title has an empty one, and is available where no column says otherwise.
    """
    columns = {column: place for column, place in config.columns.model_dump().items() if place is not None}
    texts = ", ".join(
        column if column in columns else f"cast(null as varchar) as {column}" for column in ItemColumns.model_fields
    )
    price = f"try_cast({plain_number('price', config)} as double)"
    times = config.time_text()
    created = times.instant("created_at")
    available = "true" if "available" not in columns else "try_cast(available as boolean)"
    defect = " ".join(
        [
            "when defect is not null then defect",
            unreadable("price", price, "price", "a number"),
            unreadable("available", available, "available", "true or false"),
            times.unreadable("created_at", created, "created_at"),
        ]
    )
    select = f"""
        select {identifier_sql("item_id")} as item_id,
               coalesce(title, '') as title, {_categories(config)} as categories, {price} as price,
               {available} as available, {created} as created_at, image,
               source_file, source_row, case {defect} end as defect
        from (select source_file, source_row, defect, {texts}{", fields" if config.category_flags else ""} from rows)
        where coalesce({created} < timestamptz {quoted(as_of.isoformat())}, true)
    """
    return pa.concat_tables(_read(con, root, paths, config, columns, "items", select, ITEMS))


def _categories(config: ItemFiles) -> str:
    if config.first_flag is not None:
        last = config.first_flag + len(config.category_flags) - 1
        names = ", ".join(quoted(name) for name in config.category_flags)
        flags = f"list_zip([{names}], fields[{config.first_flag}:{last}])"
        return f"list_transform(list_filter({flags}, lambda pair: pair[2] = '1'), lambda pair: pair[1])"
    split = list_elements("categories", config.category_separator)
    return f"case when coalesce(categories, '') = '' then [] else {split} end"


def table_looks(con: duckdb.DuckDBPyConnection, root: Path, paths: list[Path], config: LookFiles) -> pa.Table:
    """Scene-product pairs in tables at `paths`; ids and categories that no column gives come from the image paths."""
    columns = {column: place for column, place in config.columns.model_dump().items() if place is not None}
    box, defect = "cast(null as float[])", "defect"
    if "left" in columns:
        numbers = {side: plain_number(f'"{side}"', config) for side in SIDES}
        sides = {side: f"try_cast({number} as float)" for side, number in numbers.items()}
        given = 'concat("left", "top", "right", "bottom") <> \'\''
        box = f"case when {given} then [{', '.join(sides.values())}] end"
        broken = " ".join(unreadable(side, sides[side], f'"{side}"', "a number") for side in SIDES)
        defect = f"case when defect is not null then defect {broken} end"
    select = f"""
        select {identifier_sql(_id_of("scene", columns))} as scene_id,
               {identifier_sql(_id_of("product", columns))} as product_id,
               {"category" if "category" in columns else _folder("product_image")} as category,
               scene_image, product_image, {box} as bbox, source_file, source_row, {defect} as defect
        from rows
    """
    quoted_columns = {f'"{name}"': place for name, place in columns.items()}
    return pa.concat_tables(_read(con, root, paths, config, quoted_columns, "looks", select, LOOKS))


def _id_of(subject: str, columns: dict[str, int | str]) -> str:
    image = f"{subject}_image"
    stem = f"regexp_replace({image}, '^.*/|\\.[^./]*$', '', 'g')"
    return f"{subject}_id" if f"{subject}_id" in columns else f"{_folder(image)} || '/' || {stem}"


def _folder(image: str) -> str:
    return f"coalesce(nullif(string_split({image}, '/'), [{image}])[-2], '')"


def _read(
    con: duckdb.DuckDBPyConnection, root: Path, paths: list[Path], table: TextTable, columns: dict[str, Column],
    section: str, select: str, contract: pa.Schema,
) -> Iterator[pa.Table]:  # fmt: skip
    """What `select` makes of the rows of each file; raises `SourceError` where all of them are empty."""
    if not table.is_parquet and not any(sample_lines(path, table) for path in paths):
        raise SourceError(f"{paths[0]} is empty ({section}.path): was it cut short?")
    schema = pa.schema([field.with_nullable(True) for field in [*contract, *TRACE]])
    for path in paths:
        name = quoted(path.relative_to(root).as_posix())
        found = text_rows(con, path, table, columns, f"{section}.columns", root)
        rows = f"select *, {name} as source_file from ({found})"
        with failures_named(path):
            yield con.sql(f"with rows as ({rows}) {select}").to_arrow_table().cast(schema)


def image_items(root: Path, paths: list[Path], config: ItemImages) -> pa.Table:
    """One item per image file, sorted by path: id `<folder>/<name without suffix>`, category the folder."""
    titles = _titles(root, config)
    kept = [path for path in paths if path.parent.name not in config.exclude]
    references = [path.relative_to(root).as_posix() for path in kept]
    columns = {
        "item_id": [f"{path.parent.name}/{path.stem}" for path in kept],
        "title": [titles.get(path.stem, "") for path in kept],
        "categories": [[path.parent.name] for path in kept],
        "price": [None] * len(kept),
        "available": [True] * len(kept),
        "created_at": [None] * len(kept),
        "image": references,
    }
    return pa.table(columns, schema=pa.schema([field.with_nullable(True) for field in ITEMS]))


def _titles(root: Path, config: ItemImages) -> dict[str, str]:
    if config.titles is None:
        return {}
    path = root / config.titles
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{path} (items.titles) is not a readable JSON object: {error}") from error
    pairs = found.items() if isinstance(found, dict) else [(None, found)]
    stray = next(((name, title) for name, title in pairs if not isinstance(title, str)), None)
    if stray is not None:
        where = "it is a list" if isinstance(found, list) else f"{stray[0]!r} has {str(stray[1])[:100]!r}"
        raise SourceError(f'{path} (items.titles) must be a JSON object {{"file name": "title"}}: {where}')
    return found
