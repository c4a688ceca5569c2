"""Whether a file is a table of items, and which of its columns is what."""

from collections.abc import Mapping
from dataclasses import dataclass

from recsys_pipeline.adapters.sources.drafts.column_content import content
from recsys_pipeline.adapters.sources.drafts.column_names import plain, roles_by_name
from recsys_pipeline.adapters.sources.table_sample import TableSample

NAMES: Mapping[str, str] = {
    "title": "title name itemname productname producttitle movietitle booktitle articletitle headline",
    "categories": "categories category genres genre departments department tags maincategory productcategory topic",
    "price": "price listprice unitprice cost",
    "available": "available instock isavailable active",
    "created_at": "createdat addedat dateadded publishedat",
    "image": "image img picture photo poster imagepath imagefile",
}
SEPARATORS = ("|", ";", ",", "/")
A_LIST = 0.2
"""A character in so many cells stands between categories."""


@dataclass(frozen=True)
class ItemDraft:
    """The columns of `[items]`."""

    sample: TableSample
    columns: Mapping[str, int | str]
    category_separator: str
    why: str


def item_draft(sample: TableSample) -> ItemDraft | None:
    """None where the file is none of items: where it names a user, or an id stands there again and again."""
    places = _by_name(sample) if sample.header else _by_content(sample)
    if places is None or content(sample.cells(sample.place(places["item_id"]))).n_distinct < len(sample.rows):
        return None
    columns = {role: sample.place(at) for role, at in places.items()}
    told = "by the names of its columns" if sample.header else "by content: unique ids beside texts"
    return ItemDraft(sample, columns, _separator(sample, columns), f"items, {told}; every id stands there once")


def _by_name(sample: TableSample) -> dict[str, int] | None:
    roles = roles_by_name(sample.names)
    if "user" in roles:
        return None
    names = [plain(name) for name in sample.names]
    ids = roles.get("item") or [at for at, name in enumerate(names, 1) if name == "id"]
    if not ids:
        return None
    found = {"item_id": ids[0]}
    for role, known in NAMES.items():
        at = next((at for at, name in enumerate(names, 1) if name in known.split() and at != ids[0]), None)
        if at is not None and not (role == "created_at" and content(sample.cells(sample.place(at))).time_kind != "iso"):
            found[role] = at
    return found if len(found) > 1 else None


def _by_content(sample: TableSample) -> dict[str, int] | None:
    """As MovieLens has it: an id that stands there once, a title, and maybe categories."""
    cells = [content(sample.cells(at)) for at in range(1, sample.width + 1)]
    texts = [at for at, one in enumerate(cells, 1) if at > 1 and one.n and not one.is_numeric and not one.time_kind]
    if not texts or len(sample.rows) < 2 or cells[texts[0] - 1].n_distinct < 0.5 * cells[texts[0] - 1].n:
        return None
    found = {"item_id": 1, "title": texts[0]}
    return {**found, "categories": texts[1]} if len(texts) > 1 else found


def _separator(sample: TableSample, columns: Mapping[str, int | str]) -> str:
    """Between categories, where it is not `|`; "" where that is what stands there, or nothing does."""
    if "categories" not in columns:
        return ""
    cells = [cell for cell in sample.cells(columns["categories"]) if cell and not cell.startswith("[")]
    counts = {one: sum(one in cell for cell in cells) for one in SEPARATORS}
    best = max(counts, key=lambda one: counts[one])
    return best if best != "|" and counts[best] >= A_LIST * max(1, len(cells)) else ""
