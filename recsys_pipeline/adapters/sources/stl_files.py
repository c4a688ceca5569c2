"""The layout of the public Shop The Look data set (Kang et al. 2019): JSON lines of pairs, JSON maps of categories.

    fashion.json        {"product": "f672b…", "scene": "caaf3…", "bbox": [0.434, 0.216, 0.991, 0.923]}
    fashion-cat.json    {"f672b…": "Apparel & Accessories|Clothing|Dresses", …}

Ids are signatures of images; the images themselves are no part of the data set and lie below the root by a pattern.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

import pyarrow as pa

from recsys_pipeline.adapters.sources.stl_config import StlFiles, fill_pattern
from recsys_pipeline.core.dataset.schema import ITEMS, LOOKS, TRACE
from recsys_pipeline.core.errors import SourceError

LOOK_ROWS = pa.schema([field.with_nullable(True) for field in [*LOOKS, *TRACE]])
ITEM_ROWS = pa.schema([field.with_nullable(True) for field in ITEMS])


def stl_looks(root: Path, paths: list[Path], categories: dict[str, str], config: StlFiles) -> pa.Table:
    """Scene-product pairs; a line that cannot be read, or whose product has no category, carries a `defect`."""
    rows = [row for path in paths for row in _rows(path, path.relative_to(root).as_posix(), categories, config)]
    return pa.Table.from_pylist(rows, schema=LOOK_ROWS)


def _rows(path: Path, name: str, categories: dict[str, str], config: StlFiles) -> Iterator[dict[str, Any]]:
    with _opened(path, "looks.path") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield {"source_file": name, "source_row": number, **_row(line, categories, config)}


def _row(line: bytes, categories: dict[str, str], config: StlFiles) -> dict[str, Any]:
    try:
        pair = json.loads(line)
    except ValueError as error:
        return {"defect": f"no JSON: {error}"}
    scene, product, box = (pair.get(name) if isinstance(pair, dict) else None for name in ("scene", "product", "bbox"))
    if not _is_text(scene) or not _is_text(product):
        return {"defect": f"scene and product must be texts: {line.decode(errors='replace').strip()[:200]}"}
    row = {
        "scene_id": scene,
        "product_id": product,
        "category": categories.get(product),
        "scene_image": fill_pattern(config.image, scene),
        "product_image": fill_pattern(config.image, product),
    }
    if product not in categories:
        return {**row, "defect": f"product {product!r} is not in {config.categories}"}
    if box is not None and not _are_numbers(box):
        return {**row, "defect": f"bbox {json.dumps(box)[:200]} is no list of numbers"}
    return {**row, "bbox": box and [float(side) for side in box]}


def _is_text(found: Any) -> TypeGuard[str]:
    # JSON may hold half a surrogate pair, which no table can.
    return isinstance(found, str) and found != "" and found.isprintable()


def _are_numbers(box: Any) -> bool:
    # JSON may hold whole numbers of any length, which no float can; NaN and infinity are seen by the contract.
    return isinstance(box, list) and all(
        type(side) in (int, float) and not (type(side) is int and abs(side) > 2**53) for side in box
    )


def stl_items(categories: dict[str, str], config: StlFiles) -> pa.Table:
    """One item for each product of the category maps, sorted by id; its title is the last level of its category."""
    rows = [
        {
            "item_id": product,
            "title": category.split("|")[-1],
            "categories": [category],
            "available": True,
            "image": fill_pattern(config.image, product),
        }
        for product, category in sorted(categories.items())
    ]
    return pa.Table.from_pylist(rows, schema=ITEM_ROWS)


def stl_categories(paths: list[Path], levels: int | None) -> dict[str, str]:
    """Category by product id, cut to the first `levels`; raises `SourceError` where a map is not id → text."""
    categories: dict[str, str] = {}
    for path in paths:
        with _opened(path, "looks.categories") as content:
            try:
                found = json.load(content)
            except ValueError as error:
                raise SourceError(f"{path} (looks.categories) is not readable JSON: {error}") from error
        strays = (
            [key for key, name in found.items() if not (_is_text(key) and _is_text(name))]
            if isinstance(found, dict)
            else None
        )
        if strays is None or strays:
            where = f", but {strays[0]!r} has {found[strays[0]]!r}" if strays else ""
            raise SourceError(f'{path} (looks.categories) must be a JSON object of id: "A|B|C"{where}')
        categories.update({key: "|".join(name.split("|")[:levels]) for key, name in found.items()})
    return categories


def _opened(path: Path, setting: str) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise SourceError(f"cannot read {path} ({setting}): {error.strerror}") from error


def image_ids(looks: pa.Table) -> list[str]:
    """Ids of all images that looks need, each once: a scene before its products, so that a first part is of use."""
    pairs = zip(looks["scene_id"].to_pylist(), looks["product_id"].to_pylist(), strict=True)
    return list(dict.fromkeys(found for pair in pairs for found in pair if found))


def image_folders(root: Path, config: StlFiles) -> list[Path]:
    """The folders that hold the images, sorted; none before the first image is there."""
    top = root / Path(config.image.partition("{")[0] + "_").parent
    return sorted(path for path in [top, *top.rglob("*/")] if path.is_dir())
