"""Looks (scene-product pairs) with every image decoded once, so that training never touches an encoded file.

Images are stretched to squares rather than letterboxed: boxes are fractions of width and height, so they stay
valid as they are, and no padding colour can betray where an image came from.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int32, UInt8

from recsys_pipeline.core.dataset.image_files import ImageReader, write_images
from recsys_pipeline.core.errors import ArtifactError, DataError

Progress = Callable[[str, dict[str, float]], None]
Row = dict[str, Any]

LOOK_COLUMNS = ("scene_id", "product_id", "category", "scene_image", "product_image")
BOX_SLACK = 1e-3
"""Boxes that leave the image by less are clipped: annotation tools round."""

LOOKS = pa.schema(
    [("scene_id", pa.string()), ("product_id", pa.string()), ("category", pa.string())]
    + [("scene_row", pa.int32()), ("product_row", pa.int32())]
    + [(side, pa.float32()) for side in ("left", "top", "right", "bottom")]
)
SCENES = pa.schema([("scene_id", pa.string()), ("scene_image", pa.string())])
PRODUCTS = pa.schema([("product_id", pa.string()), ("category", pa.string()), ("product_image", pa.string())])
QUARANTINE = pa.schema(
    [("source_file", pa.string()), ("source_row", pa.int64())]
    + [(name, pa.string()) for name in ("scene_id", "product_id", "reference", "reason")]
)


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
    on the order of the input. What cannot be used (missing or broken image, bad box, duplicate pair, ids that
    contradict one another, scenes left with no product) goes to `quarantine.parquet` with its reason. Raises
    `DataError` where a column is missing or nothing is left.
    """
    directory.mkdir(parents=True, exist_ok=True)
    rejected: list[Row] = []
    rows = list(_sound_rows(_look_rows(looks), rejected))
    scene_images = {row["scene_id"]: row["scene_image"] for row in rows}
    catalogue = _catalogue(rows, items)

    def store(name: str, references: dict[str, str], column: str) -> list[str]:
        """Write one stack of images; quarantine those that fail; return the ids that were kept."""
        failures = write_images(source, references, directory / f"{name}_images.npy", image_size, progress)
        rejected.extend({column: key, "reference": references[key], "reason": why} for key, why in failures.items())
        return [key for key in sorted(references) if key not in failures]

    product_ids = store("product", {key: image for key, (_, image) in catalogue.items()}, "product_id")
    kept_products = set(product_ids)
    rows = [row for row in rows if row["product_id"] in kept_products]
    alive = {row["scene_id"] for row in rows}
    rejected.extend(
        {"scene_id": key, "reference": image, "reason": "no product of this scene could be used"}
        for key, image in scene_images.items()
        if key not in alive
    )
    scene_ids = store("scene", {key: scene_images[key] for key in alive}, "scene_id")
    kept_scenes = set(scene_ids)
    rows = [row for row in rows if row["scene_id"] in kept_scenes]
    if not rows:
        raise DataError(f"none of {looks.num_rows} looks can be used; first reason: {_first_reason(rejected)}")

    _write(directory / "looks.parquet", LOOKS, _with_row_numbers(rows, scene_ids, product_ids))
    _write(directory / "scenes.parquet", SCENES, ({"scene_id": k, "scene_image": scene_images[k]} for k in scene_ids))
    products = [
        {"product_id": key, "category": catalogue[key][0], "product_image": catalogue[key][1]} for key in product_ids
    ]
    _write(directory / "products.parquet", PRODUCTS, products)
    rejected.sort(key=lambda row: tuple(str(row.get(name)) for name in QUARANTINE.names))
    _write(directory / "quarantine.parquet", QUARANTINE, rejected)
    return LooksSummary(
        scenes=len(scene_ids),
        products=len(product_ids),
        pairs=len(rows),
        categories=len({row["category"] for row in products}),
        pairs_with_box=sum(row["bbox"] is not None for row in rows),
        quarantined=len(rejected),
        image_size=image_size,
    )


def _look_rows(looks: pa.Table) -> list[Row]:
    """The looks as sorted dictionaries, each with its box (or None) and where it came from."""
    missing = [name for name in LOOK_COLUMNS if name not in looks.column_names]
    if missing:
        raise DataError(f"looks lack the columns {missing}; they have {looks.column_names}")
    rows = [{"bbox": None, **row} for row in looks.to_pylist()]
    return sorted(rows, key=lambda row: tuple(str(row[name]) for name in (*LOOK_COLUMNS, "bbox")))


def _sound_rows(rows: list[Row], rejected: list[Row]) -> Iterator[Row]:
    """Rows that keep the contract, with clipped boxes; the others are appended to `rejected`."""
    usual = {
        column: _most_common(rows, key, column)
        for key, column in (("scene_id", "scene_image"), ("product_id", "product_image"), ("product_id", "category"))
    }
    seen: set[tuple[str, str]] = set()
    for row in rows:
        reason = row.get("defect") or _defect(row, usual, seen)
        if reason is None:
            seen.add((row["scene_id"], row["product_id"]))
            yield {**row, "bbox": None if row["bbox"] is None else np.clip(row["bbox"], 0, 1).tolist()}
        else:
            known = {name: row.get(name) for name in ("source_file", "source_row", "scene_id", "product_id")}
            rejected.append({**known, "reference": row["scene_image"], "reason": reason})


def _most_common(rows: list[Row], key: str, column: str) -> dict[str, str]:
    """For each `key`, the value of `column` that most rows give it (the smaller one on a tie)."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        if row[key] and row[column]:
            counts.setdefault(row[key], Counter())[row[column]] += 1
    return {name: min(found, key=lambda value: (-found[value], value)) for name, found in counts.items()}


def _defect(row: Row, usual: dict[str, dict[str, str]], seen: set[tuple[str, str]]) -> str | None:
    """Why the row cannot be used, or None."""
    for name in LOOK_COLUMNS:
        if not row[name]:
            return f"{name} is empty"
    for column, expected in usual.items():
        key = row["scene_id" if column == "scene_image" else "product_id"]
        if row[column] != expected[key]:
            return f"{column} {row[column]!r} contradicts {expected[key]!r}, which other rows give {key!r}"
    if (row["scene_id"], row["product_id"]) in seen:
        return "this pair of scene and product was seen before"
    return None if row["bbox"] is None else _box_defect(row["bbox"])


def _box_defect(box: list[float]) -> str | None:
    """Why the box is not [left, top, right, bottom] in 0–1, or None."""
    if len(box) != 4 or not all(side is not None and np.isfinite(side) for side in box):
        return f"bbox {box} is not four finite numbers"
    left, top, right, bottom = box
    if min(box) < -BOX_SLACK or max(box) > 1 + BOX_SLACK:
        return f"bbox {box} leaves the image: sides are fractions from 0 to 1"
    if left >= right or top >= bottom:
        return f"bbox {box} is empty: expected left < right and top < bottom"
    return None


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


def _first_reason(rejected: list[Row]) -> str:
    return f"{rejected[0]['reference']}: {rejected[0]['reason']}" if rejected else "there are none"


def _write(path: Path, schema: pa.Schema, rows: Iterable[Row]) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path, compression="zstd")
