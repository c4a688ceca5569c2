"""Looks (scene-product pairs) with every image decoded once, so that training never touches an encoded file.

Images are stretched to squares rather than letterboxed: boxes are fractions of width and height, so they stay
valid as they are, and no padding colour can betray where an image came from.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int32, UInt8

from recsys_pipeline.core.dataset.image_files import ImageReader, write_images
from recsys_pipeline.core.dataset.schema import LOOKS as LOOKS_CONTRACT
from recsys_pipeline.core.dataset.schema import TRACE, check_columns, quarantine_rows, validate_looks
from recsys_pipeline.core.errors import ArtifactError, DataError
from recsys_pipeline.core.types import Progress

Row = dict[str, Any]

LOOKS = pa.schema(
    [("scene_id", pa.string()), ("product_id", pa.string()), ("category", pa.string())]
    + [("scene_row", pa.int32()), ("product_row", pa.int32())]
    + [(side, pa.float32()) for side in ("left", "top", "right", "bottom")]
)
SCENES = pa.schema([("scene_id", pa.string()), ("scene_image", pa.string())])
PRODUCTS = pa.schema([("product_id", pa.string()), ("category", pa.string()), ("product_image", pa.string())])
REJECTED = pa.schema([*TRACE, *((name, pa.string()) for name in ("reason", "scene_id", "product_id", "reference"))])
"""One row is a scene or product that is put aside for its images; `QUARANTINE` keeps its ids and reference as JSON."""


@dataclass(frozen=True)
class LooksSummary:
    """What `write_looks` kept and what it put aside."""

    scenes: int
    products: int
    pairs: int
    categories: int
    pairs_with_box: int
    quarantined: int
    image_size: int


@dataclass(frozen=True)
class LookData:
    """Looks as dense rows over scenes and products; the images are memory-mapped.

    `box` is [left, top, right, bottom] as fractions of the scene, NaN where none is known. `product_category`
    holds row numbers of `categories`, which is sorted.
    """

    scene: Int32[np.ndarray, " looks"]
    product: Int32[np.ndarray, " looks"]
    box: Float32[np.ndarray, "looks 4"]
    scene_ids: list[str]
    product_ids: list[str]
    categories: list[str]
    product_category: Int32[np.ndarray, " products"]
    scene_images: UInt8[np.ndarray, "scenes size size 3"]
    product_images: UInt8[np.ndarray, "products size size 3"]

    def __len__(self) -> int:
        return len(self.scene)

    @classmethod
    def load(cls, directory: Path) -> "LookData":
        """Open what `write_looks` wrote; raises `ArtifactError` where a file is missing or does not fit the others."""
        try:
            looks, scenes, products = (
                pq.read_table(directory / f"{n}.parquet") for n in ("looks", "scenes", "products")
            )
            images = [np.load(directory / f"{name}_images.npy", mmap_mode="r") for name in ("scene", "product")]
        except (OSError, ValueError, pa.ArrowInvalid) as error:
            raise ArtifactError(f"looks in {directory} cannot be read ({error}): write them again") from error
        if [len(rows) for rows in images] != [scenes.num_rows, products.num_rows]:
            raise ArtifactError(f"looks in {directory} hold other numbers of images than of ids: write them again")
        categories = sorted(set(products["category"].to_pylist()))
        place = {name: row for row, name in enumerate(categories)}
        sides = [looks[side].to_numpy() for side in ("left", "top", "right", "bottom")]
        return cls(
            scene=looks["scene_row"].to_numpy(),
            product=looks["product_row"].to_numpy(),
            box=np.stack(sides, axis=1).astype(np.float32),
            scene_ids=scenes["scene_id"].to_pylist(),
            product_ids=products["product_id"].to_pylist(),
            categories=categories,
            product_category=np.array([place[name] for name in products["category"].to_pylist()], np.int32),
            scene_images=images[0],
            product_images=images[1],
        )


def write_looks(
    source: ImageReader,
    looks: pa.Table,
    items: pa.Table,
    directory: Path,
    image_size: int = 64,
    progress: Progress | None = None,
) -> LooksSummary:
    """Decode every image of the looks and of the catalogue, and write tables and arrays that `LookData` reads.

    Products are those of the looks and every item that has an image, so that the whole catalogue can be embedded;
    an item that is in no look takes the first of its categories. Rows are sorted by id, so the files do not depend
    on the order of the input; only of two rows with one pair the first stays. What cannot be used (rows that break
    the contract of `validate_looks`, ids that contradict one another, missing or broken images, scenes left with no
    product) goes to `quarantine.parquet` with its reason. Raises `SourceError` for wrong columns, and `DataError`
    where nothing is left.
    """
    directory.mkdir(parents=True, exist_ok=True)
    check_columns(looks.schema, LOOKS_CONTRACT, "looks")
    checked = validate_looks(_with_contradictions(looks))
    sound: list[Row] = checked.clean.to_pylist()
    catalogue = _catalogue(sound, items)
    rows, scene_images, product_ids, rejected = _write_images(source, sound, catalogue, directory, image_size, progress)
    bad_images = quarantine_rows(pa.Table.from_pylist(rejected, schema=REJECTED))
    quarantine = pa.concat_tables([checked.quarantine, bad_images])
    if not rows:
        first = quarantine.slice(0, 1).to_pylist()
        reason = f"{first[0]['reason']}, in {first[0]['raw']}" if first else "there are none"
        raise DataError(f"none of {looks.num_rows} looks can be used; first reason: {reason}")

    _write(directory / "looks.parquet", LOOKS, _with_row_numbers(rows, list(scene_images), product_ids))
    _write(
        directory / "scenes.parquet",
        SCENES,
        ({"scene_id": key, "scene_image": image} for key, image in scene_images.items()),
    )
    products = [
        {"product_id": key, "category": catalogue[key][0], "product_image": catalogue[key][1]} for key in product_ids
    ]
    _write(directory / "products.parquet", PRODUCTS, products)
    pq.write_table(quarantine, directory / "quarantine.parquet", compression="zstd")
    return LooksSummary(
        scenes=len(scene_images),
        products=len(product_ids),
        pairs=len(rows),
        categories=len({row["category"] for row in products}),
        pairs_with_box=sum(row["bbox"] is not None for row in rows),
        quarantined=quarantine.num_rows,
        image_size=image_size,
    )


def _write_images(
    source: ImageReader,
    rows: list[Row],
    catalogue: dict[str, tuple[str, str]],
    directory: Path,
    image_size: int,
    progress: Progress | None,
) -> tuple[list[Row], dict[str, str], list[str], list[Row]]:
    """Decode products, then the scenes that still have one.

    Gives the rows whose both images are there, the scenes (id → reference) and product ids that were kept, in the
    order of the images, and what was put aside.
    """
    rejected: list[Row] = []

    def store(name: str, references: dict[str, str], column: str) -> list[str]:
        """Write one stack of images; put aside those that fail; return the ids that were kept."""
        failures = write_images(source, references, directory / f"{name}_images.npy", image_size, progress)
        rejected.extend({column: key, "reference": references[key], "reason": why} for key, why in failures.items())
        return [key for key in sorted(references) if key not in failures]

    product_ids = store("product", {key: image for key, (_, image) in catalogue.items()}, "product_id")
    kept_products = set(product_ids)
    scenes = {row["scene_id"]: row["scene_image"] for row in rows}
    alive = {row["scene_id"] for row in rows if row["product_id"] in kept_products}
    rejected.extend(
        {"scene_id": key, "reference": image, "reason": "no product of this scene could be used"}
        for key, image in scenes.items()
        if key not in alive
    )
    kept_scenes = {key: scenes[key] for key in store("scene", {key: scenes[key] for key in alive}, "scene_id")}
    rows = [row for row in rows if row["product_id"] in kept_products and row["scene_id"] in kept_scenes]
    rejected.sort(key=lambda row: tuple(str(row.get(name)) for name in REJECTED.names))
    return rows, kept_scenes, product_ids, rejected


def _with_contradictions(looks: pa.Table) -> pa.Table:
    """The looks with a `defect` where a row gives a scene or a product other images or categories than most rows do."""
    rows = looks.to_pylist()
    usual = {
        (key, column): _most_common(rows, key, column)
        for key, column in (("scene_id", "scene_image"), ("product_id", "product_image"), ("product_id", "category"))
    }
    defects = [row.get("defect") or _contradiction(row, usual) for row in rows]
    others = [name for name in looks.column_names if name != "defect"]
    return looks.select(others).append_column("defect", pa.array(defects, pa.string()))


def _contradiction(row: Row, usual: dict[tuple[str, str], dict[str, str]]) -> str | None:
    for (key, column), values in usual.items():
        expected = values.get(row[key])
        if expected is not None and row[column] and row[column] != expected:
            return f"{column} {row[column]!r} contradicts {expected!r}, which other rows give {row[key]!r}"
    return None


def _most_common(rows: list[Row], key: str, column: str) -> dict[str, str]:
    """For each `key`, the value of `column` that most rows give it (the smaller one on a tie)."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        if row[key] and row[column]:
            counts.setdefault(row[key], Counter())[row[column]] += 1
    return {name: min(found, key=lambda value: (-found[value], value)) for name, found in counts.items()}


def _catalogue(rows: list[Row], items: pa.Table) -> dict[str, tuple[str, str]]:
    """(category, image) by product id: items that have an image, then looks, which know the category better."""
    known: dict[str, tuple[str, str]] = {}
    if "image" in items.column_names:
        categories = items["categories"].to_pylist() if "categories" in items.column_names else [None] * items.num_rows
        for key, image, names in zip(items["item_id"].to_pylist(), items["image"].to_pylist(), categories, strict=True):
            if key and image:
                known[key] = (names[0] if names else "unknown", image)
    known.update({row["product_id"]: (row["category"], row["product_image"]) for row in rows})
    return known


def _with_row_numbers(rows: list[Row], scene_ids: list[str], product_ids: list[str]) -> Iterator[Row]:
    """Look rows as they are stored, sorted by scene and product."""
    scene_row = {key: number for number, key in enumerate(scene_ids)}
    product_row = {key: number for number, key in enumerate(product_ids)}
    for row in sorted(rows, key=lambda row: (row["scene_id"], row["product_id"])):
        sides = row["bbox"] or [None] * 4
        box = dict(zip(("left", "top", "right", "bottom"), sides, strict=True))
        numbers = {"scene_row": scene_row[row["scene_id"]], "product_row": product_row[row["product_id"]]}
        yield {**{name: row[name] for name in ("scene_id", "product_id", "category")}, **numbers, **box}


def _write(path: Path, schema: pa.Schema, rows: Iterable[Row]) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path, compression="zstd")
