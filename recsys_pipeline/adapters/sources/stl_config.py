"""The sections of a source's TOML that describe looks in the layout of the public Shop The Look data set."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from recsys_pipeline.adapters.sources.config_fields import PathBelowRoot, Strict

_SLOT = re.compile(r"\{id(?:\[(\d+):(\d+)\])?\}")


def _names_the_id(pattern: str) -> str:
    if "{id}" not in pattern or re.search(r"[{}]", _SLOT.sub("", pattern)):
        raise ValueError(f"{pattern!r} must hold {{id}}, and may hold parts of it such as {{id[0:2]}}")
    return pattern


IdPattern = Annotated[str, AfterValidator(_names_the_id)]


def fill_pattern(pattern: str, image_id: str) -> str:
    """A pattern with its slots filled in.

    >>> fill_pattern("400x/{id[0:2]}/{id[2:4]}/{id}.jpg", "caaf38")
    '400x/ca/af/caaf38.jpg'
    """
    return _SLOT.sub(lambda slot: image_id[int(slot[1]) : int(slot[2])] if slot[1] else image_id, pattern)


class ImageFetch(Strict):
    """`[looks.fetch]`: whence `recsys fetch-looks` brings the images, and how politely."""

    url: IdPattern = Field(pattern="^https?://", description="Address of an image, with {id} and parts of it")
    per_second: float = Field(default=4.0, gt=0, description="Images asked for in a second, at most")
    attempts: int = Field(default=4, ge=1, description="For an image, before it is left to a later call")
    backoff_s: float = Field(default=2.0, ge=0, description="Wait before the second attempt; doubles with each")
    timeout_s: float = Field(default=30.0, gt=0, description="Longest silence of the server")
    image_mb: float = Field(default=25.0, gt=0, description="Largest image that is taken")
    image_s: float = Field(default=120.0, gt=0, description="Longest that one image may take, all attempts together")
    run_mb: float = Field(default=20_000.0, gt=0, description="What one call brings at most; the rest is left")
    run_s: float = Field(default=86_400.0, gt=0, description="How long one call asks; the rest is left")


class StlFiles(Strict):
    """`[looks]` with `kind = "stl"`: JSON lines and category maps as in the public Shop The Look data set."""

    kind: Literal["stl"]
    path: PathBelowRoot = Field(
        description='JSON lines {"product": id, "scene": id, "bbox": [l, t, r, b]}; may be a glob'
    )
    categories: PathBelowRoot = Field(description='JSON object {product id: "A|B|C"}; may be a glob')
    category_levels: int | None = Field(default=None, ge=1, description="Keep this many levels; by default all")
    image: Annotated[PathBelowRoot, AfterValidator(_names_the_id)] = Field(
        default="images/{id}.jpg", description="Where below root the image of an id lies"
    )
    fetch: ImageFetch | None = None


class StlItems(Strict):
    """`[items]` with `kind = "stl"`: the products of the looks' category maps."""

    kind: Literal["stl"]
