"""The look book as one HTML file: no network, no script; each picture is in it once, as a background of a class."""

import io
import math
from importlib.resources import files
from typing import Any

import jinja2
import numpy as np
from jaxtyping import Float32, UInt8
from markupsafe import Markup
from PIL import Image

from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.dataset.shelf import Shelf
from recsys_pipeline.core.reports.looks.look_book import BookItem, BookScene, LookBook, total_price
from recsys_pipeline.core.reports.looks.reasons import Precedent
from recsys_pipeline.core.reports.page.page import Html, ReportData, Section, Text, counts, render_page
from recsys_pipeline.core.reports.page.pictures import data_uri

SCENE_SIDE, SMALL_SIDE = 224, 96
"""Longest sides in pixels of the scenes that are shown large, and of everything else."""
HEAT = (213, 94, 0)
"""Vermilion of Okabe and Ito, seen by people with any common colour blindness."""
GUIDE = (
    "Each scene is from the test part: the towers were not trained on it. One of its products, in the orange box, is "
    "masked out, and the look holds at most one product of each category that the scene then lacks: the best of each "
    "category, the best of these first. Place counts among all products of the category.",
    "What counted: each patch of the scene is covered in turn; where the score falls most is darkest. Beside it are "
    "the training pairs most like this one, a scene with its product, and two cosines: of the scenes, of the products. "
    "Choose a product to see what is most like it.",
)


def render_look_book(book: LookBook, data: LookData, shelf: Shelf, dataset: str, day: str, digest: str) -> str:
    """The whole page; the same book gives the same text."""
    right = sum(item.stood_there for scene in book.scenes for item in scene.items)
    first = sum(scene.true_place == 1 for scene in book.scenes)
    headline = (
        f"In {first} of {len(book.scenes)} scenes the masked product is the first of its category, and in {right} the "
        "look holds it. A handful of scenes shows how the model thinks, not how good it is: for that, see the figures "
        "of the daily report."
    )
    body = Html(_body(book, data, shelf))
    facts = counts([("scenes shown", len(book.scenes)), ("products", len(data.product_ids))])
    section = Section("looks", "Look book", (*map(Text, GUIDE), body), headline)
    return render_page(ReportData(dataset, day, digest, facts, (section,)))


def _body(book: LookBook, data: LookData, shelf: Shelf) -> Markup:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    source = files("recsys_pipeline.core.reports.page").joinpath("look_book.html.j2").read_text(encoding="utf-8")
    words = _Words(data, shelf)
    panels = [
        {"product": words.product(row), "neighbours": [(words.product(n), f"{cosine:.2f}") for n, cosine in near]}
        for row, near in book.neighbours.items()
    ]
    rendered = environment.from_string(source).render(
        scenes=[words.scene(scene) for scene in book.scenes],
        panels=panels,
        opened=set(book.neighbours),
        pictures=list(_pictures(book, data).items()),
    )
    return Markup(rendered)


class _Words:
    """What the template prints of scenes and products."""

    def __init__(self, data: LookData, shelf: Shelf) -> None:
        self.data, self.shelf = data, shelf

    def product(self, row: int) -> dict[str, Any]:
        facts = [self.data.categories[self.data.product_category[row]]]
        if not math.isnan(self.shelf.prices[row]):
            facts.append(f"{self.shelf.prices[row]:,.2f}")
        if not self.shelf.available[row]:
            facts.append("sold out")
        return {"row": row, "title": self.shelf.titles[row], "facts": " · ".join(facts)}

    def scene(self, scene: BookScene) -> dict[str, Any]:
        data = self.data
        return {
            "row": int(data.scene[scene.look]),
            "title": data.scene_ids[data.scene[scene.look]],
            "box": self._box(scene.look),
            "other_boxes": [box for box in map(self._box, scene.others) if box],
            "masked": self.product(int(data.product[scene.look])),
            "true_place": scene.true_place,
            "true_of": scene.true_of,
            "summary": self._summary(scene),
            "picks": [self._item(item) for item in scene.items],
        }

    def _summary(self, scene: BookScene) -> str:
        if not scene.items:
            return "Nothing is left that the scene lacks, that can be bought, and that the budget allows."
        total = total_price(scene, self.shelf)
        n = len(scene.items)
        return f"{n} product{'s' * (n > 1)}" + ("" if math.isnan(total) else f", together {total:,.2f}")

    def _item(self, item: BookItem) -> dict[str, Any]:
        title = self.shelf.titles[item.product]
        return {
            "product": self.product(item.product),
            "score": f"{item.score:.2f}",
            "place": f"{item.place:,}",
            "of": f"{item.of:,}",
            "stood_there": item.stood_there,
            "heat": heat_uri(item.heat),
            "heat_label": f"where the scene speaks for {title}",
            "precedents": [self._precedent(like) for like in item.precedents],
        }

    def _precedent(self, like: Precedent) -> dict[str, Any]:
        data, product = self.data, int(self.data.product[like.look])
        return {
            "scene": int(data.scene[like.look]),
            "scene_title": data.scene_ids[data.scene[like.look]],
            "product": product,
            "product_title": self.shelf.titles[product],
            "scene_similarity": f"{like.scene_similarity:.2f}",
            "product_similarity": f"{like.product_similarity:.2f}",
        }

    def _box(self, look: int) -> list[float] | None:
        sides = self.data.box[look]
        return None if np.isnan(sides).any() else [float(side) for side in sides]


def _pictures(book: LookBook, data: LookData) -> dict[str, Markup]:
    """A `data:` address for every picture of the page, by the name of its class: s<row> for scenes, p<row>."""
    pairs = [like.look for scene in book.scenes for item in scene.items for like in item.precedents]
    large = {int(data.scene[scene.look]) for scene in book.scenes}
    products = {int(data.product[look]) for look in pairs} | set(book.neighbours)
    products |= {row for near in book.neighbours.values() for row, _ in near}
    scenes = large | {int(data.scene[look]) for look in pairs}
    pictures = {
        f"s{row}": _picture(data.scene_images[row], SCENE_SIDE if row in large else SMALL_SIDE)
        for row in sorted(scenes)
    }
    return pictures | {f"p{row}": _picture(data.product_images[row], SMALL_SIDE) for row in sorted(products)}


def _picture(pixels: UInt8[np.ndarray, "size size 3"], side: int) -> Markup:
    image = Image.fromarray(np.asarray(pixels))
    image.thumbnail((side, side))
    return _encoded(image, "WEBP", quality=78, method=6)


def heat_uri(heat: Float32[np.ndarray, "patches patches"]) -> Markup:
    """The map as a tiny picture that is transparent where nothing falls; browsers smooth it as they enlarge it."""
    strength = np.clip(heat / max(float(heat.max()), 1e-9), 0, 1)
    rgba = np.empty((*heat.shape, 4), np.uint8)
    rgba[..., :3], rgba[..., 3] = HEAT, 230 * strength
    return _encoded(Image.fromarray(rgba), "PNG", optimize=True)


def _encoded(image: Image.Image, kind: str, **options: int) -> Markup:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Markup(data_uri(buffer.getvalue()))
