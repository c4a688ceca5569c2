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

from recsys_pipeline.core.dataset.image_files import Frames, ImageReader, WrittenImages, write_images
from recsys_pipeline.core.dataset.schema import LOOKS as LOOKS_CONTRACT
from recsys_pipeline.core.dataset.schema import TRACE, check_columns, quarantine_rows, validate_looks
from recsys_pipeline.core.errors import ArtifactError, DataError
from recsys_pipeline.core.progress import Progress

Row = dict[str, Any]

LOOKS = pa.schema(
    [("scene_id", pa.string()), ("product_id", pa.string()), ("category", pa.string())]
    + [("scene_row", pa.int32()), ("product_row", pa.int32())]
    + [(side, pa.float32()) for side in ("left", "top", "right", "bottom")]
)
SCENES = pa.schema([(name, pa.string()) for name in ("scene_id", "scene_image", "image_digest")])
PRODUCTS = pa.schema([(name, pa.string()) for name in ("product_id", "category", "product_image", "image_digest")])
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
    images_decoded: int
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
    earlier: Path | None = None,
    max_quarantine_share: float = 0.5,
    max_defect_share: float = 1.0,
) -> LooksSummary:
    """Decode every image of the looks and of the catalogue, and write tables and arrays that `LookData` reads.

    Products are those of the looks and every item that has an image, so that the whole catalogue can be embedded;
    an item that is in no look takes the first of its categories. Rows are sorted by id, so the files do not depend
    on the order of the input; only of two rows with one pair the first stays. What cannot be used (rows that break
    the contract of `validate_looks`, ids that contradict one another, missing or broken images, scenes left with no
    product) goes to `quarantine.parquet` with its reason.

    Frames of images that have not changed are copied from the looks in the folder `earlier`, so that a day costs the
    decoding of its new images only; the files do not depend on it. Raises `SourceError` for wrong columns,
    `ArtifactError` for an `earlier` that cannot be read, and `DataError` where a larger share of the looks than
    `max_quarantine_share` is put aside, a larger share than `max_defect_share` breaks the contract, or nothing is left.
    """
    directory.mkdir(parents=True, exist_ok=True)
    check_columns(looks.schema, LOOKS_CONTRACT, "looks")
    checked = validate_looks(_with_contradictions(looks))
    checked.check_share("looks", max_defect_share)
    sound: list[Row] = checked.clean.to_pylist()
    catalogue = _catalogue(sound, items)
    known = known_frames(earlier, image_size) if earlier else {}
    rows, scenes, products, rejected = _write_images(source, sound, catalogue, directory, image_size, progress, known)
    bad_images = quarantine_rows(pa.Table.from_pylist(rejected, schema=REJECTED))
    quarantine = pa.concat_tables([checked.quarantine, bad_images])
    unused = looks.num_rows - len(rows)
    if not rows or unused > max_quarantine_share * looks.num_rows:
        first = quarantine.slice(0, 1).to_pylist()
        reason = f"{first[0]['reason']}, in {first[0]['raw']}" if first else "there are none"
        raise DataError(
            f"{unused} of {looks.num_rows} looks cannot be used, more than max_quarantine_share = "
            f"{max_quarantine_share:g} allows; first reason: {reason}. Repair the source, or raise max_quarantine_share"
        )

    _write(directory / "looks.parquet", LOOKS, _with_row_numbers(rows, list(scenes.digests), list(products.digests)))
    scene_image = {row["scene_id"]: row["scene_image"] for row in rows}
    _write(
        directory / "scenes.parquet",
        SCENES,
        (
            {"scene_id": key, "scene_image": scene_image[key], "image_digest": digest}
            for key, digest in scenes.digests.items()
        ),
    )
    product_rows = [
        {"product_id": key, "category": catalogue[key][0], "product_image": catalogue[key][1], "image_digest": digest}
        for key, digest in products.digests.items()
    ]
    _write(directory / "products.parquet", PRODUCTS, product_rows)
    pq.write_table(quarantine, directory / "quarantine.parquet", compression="zstd")
    return LooksSummary(
        scenes=len(scenes.digests),
        products=len(product_rows),
        pairs=len(rows),
        categories=len({row["category"] for row in product_rows}),
        pairs_with_box=sum(row["bbox"] is not None for row in rows),
        quarantined=quarantine.num_rows,
        images_decoded=scenes.decoded + products.decoded,
        image_size=image_size,
    )


def known_frames(directory: Path, image_size: int) -> dict[str, UInt8[np.ndarray, "size size 3"]]:
    """Frames of looks by the digest of their image, memory-mapped; none where they have another size.

    Raises `ArtifactError` where the looks cannot be read.
    """
    data = LookData.load(directory)
    if data.scene_images.shape[1] != image_size:
        return {}
    frames: dict[str, UInt8[np.ndarray, "size size 3"]] = {}
    for table, images in (("scenes", data.scene_images), ("products", data.product_images)):
        stored = pq.read_table(directory / f"{table}.parquet")
        if "image_digest" in stored.column_names:  # looks of older versions have none
            frames.update(zip(stored["image_digest"].to_pylist(), np.asarray(images), strict=True))
    return frames


def _write_images(
    source: ImageReader,
    rows: list[Row],
    catalogue: dict[str, tuple[str, str]],
    directory: Path,
    image_size: int,
    progress: Progress | None,
    known: Frames,
) -> tuple[list[Row], WrittenImages, WrittenImages, list[Row]]:
    """Decode products, then the scenes that still have one.

    Gives the rows whose both images are there, what was written of scenes and of products, and what was put aside.
    """
    rejected: list[Row] = []

    def store(name: str, references: dict[str, str], column: str) -> WrittenImages:
        """Write one stack of images, and put aside those that fail."""
        path = directory / f"{name}_images.npy"
        written = write_images(source, references, path, image_size, progress, known)
        failures = written.failures.items()
        rejected.extend({column: key, "reference": references[key], "reason": why} for key, why in failures)
        return written

    products = store("product", {key: image for key, (_, image) in catalogue.items()}, "product_id")
    all_scenes = {row["scene_id"]: row["scene_image"] for row in rows}
    alive = {row["scene_id"] for row in rows if row["product_id"] in products.digests}
    rejected.extend(
        {"scene_id": key, "reference": image, "reason": "no product of this scene could be used"}
        for key, image in all_scenes.items()
        if key not in alive
    )
    scenes = store("scene", {key: all_scenes[key] for key in alive}, "scene_id")
    rows = [row for row in rows if row["product_id"] in products.digests and row["scene_id"] in scenes.digests]
    rejected.sort(key=lambda row: tuple(str(row.get(name)) for name in REJECTED.names))
    return rows, scenes, products, rejected


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
