"""What differs: between a recipe and the code and libraries of today, and between two makings of one artifact."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from recsys_pipeline.adapters.store.manifest import Manifest, Recipe
from recsys_pipeline.core.time import Window

SOURCE = "source"
"""Entry of a recipe's config that holds the fingerprint of the source."""
TABLES = {"items": "items", "looks": "looks", "overlay": "items"}
"""Of which table that is, by the subject of the key; of interactions where it is none of these."""


def changes_since(
    recipe: Recipe, code_version: str, libraries: Mapping[str, str], fingerprint: Callable[[Window, str], str]
) -> Iterator[str]:
    """What is no longer as it was when a recipe was written: code, libraries, and the source where it was read.

    `code_version` and `libraries` are those of its asset today.
    """
    subject, here = recipe.key.split("/")[1], libraries
    if code_version != recipe.code_version:
        yield f"the code that shapes {recipe.key} has changed: {recipe.code_version} then, {code_version} now"
    for name in sorted(here.keys() | recipe.libraries.keys()):
        if here.get(name) != recipe.libraries.get(name):
            yield f"{name} was {recipe.libraries.get(name, 'absent')} then, and is {here.get(name, 'not recorded')} now"
    if SOURCE in recipe.config:
        today = fingerprint(Window.of_partition(recipe.partition), TABLES.get(subject, "interactions"))
        if today != recipe.config[SOURCE]:
            yield "the source has changed: its settings or its files are not those that were read then"


def differences(before: Manifest, now: Manifest) -> Iterator[str]:
    """How a second making of an artifact differs from the first: inputs, config, files, metrics."""
    then, again = set(before.recipe.inputs), set(now.recipe.inputs)
    for ref in sorted(then ^ again, key=lambda one: (one.key, one.partition, one.digest)):
        side = "only then" if ref in then else "only now"
        yield f"input {ref.key}@{ref.partition} {ref.digest[:12]}: {side}"
    yield from _changed("config", before.recipe.config, now.recipe.config)
    for name in sorted(before.files.keys() | now.files.keys()):
        one, two = before.files.get(name), now.files.get(name)
        if one is None or two is None:
            yield f"file {name}: {'only now' if one is None else 'only then'}"
        elif one["sha256"] != two["sha256"]:
            yield f"file {name}: {one['bytes']:,} bytes then, {two['bytes']:,} now, of different content"
    yield from _changed("metric", before.metrics, now.metrics)


def _changed(kind: str, before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for name in sorted(before.keys() | now.keys()):
        one, two = before.get(name), now.get(name)
        if one != two and not (one != one and two != two):  # NaN is what differs from itself
            yield f"{kind} {name}: {_text(one)} then, {_text(two)} now"


def _text(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
