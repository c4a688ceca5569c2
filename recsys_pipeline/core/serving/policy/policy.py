"""A policy: which parts make a list, with which settings. A small document with a digest, judged like a release."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from recsys_pipeline.core.configs import Yaml12, similar_names
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.serving.policy.parts import KINDS, Filter, Orderer, Scorer, Source, parse_part

DEFAULT: Mapping[str, Any] = {
    "name": "default",
    "sources": ["index"],
    "filters": ["on_sale", "taken", "avoided", "asked_for"],
    "scorers": ["model"],
}
"""Lists by the model's score alone, as the gate and the export make them."""
RELATED: Mapping[str, Any] = {
    "name": "related",
    "sources": ["similar"],
    "filters": ["on_sale", "taken", "avoided", "asked_for"],
    "scorers": ["likeness"],
}
"""What goes with an item."""
SEARCH: Mapping[str, Any] = {
    "name": "search",
    "sources": ["words"],
    "filters": ["on_sale", "avoided", "asked_for"],
    "scorers": ["words"],
}
"""What words describe; who searches may find what they have."""
BUILT_IN: Mapping[str, Mapping[str, Any]] = {one["name"]: one for one in (DEFAULT, RELATED, SEARCH)}
GUARDS = ("on_sale", "avoided")
"""Filters that every policy has, said or not: what is not on sale and what a user asked not to see is never shown."""


@dataclass(frozen=True)
class Policy:
    """A parsed policy."""

    name: str
    sources: tuple[Source, ...]
    filters: tuple[Filter, ...]
    scorers: tuple[Scorer, ...]
    orderers: tuple[Orderer, ...] = ()
    seed: int = 0
    """Of every draw, together with the request's id."""

    def document(self) -> dict[str, Any]:
        """With every setting spelled out, so that a default that changes later changes no list that was served."""
        parts = {
            kind: [{part.NAME: dataclasses.asdict(part)} for part in getattr(self, kind)]  # pyright: ignore
            for kind in KINDS
        }
        return {"name": self.name, "seed": self.seed, **parts}

    @cached_property
    def text(self) -> str:
        """The canonical document."""
        return json.dumps(self.document(), sort_keys=True, indent=1) + "\n"

    @cached_property
    def digest(self) -> str:
        """Identifies everything that the document decides."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def parse_policy(document: Mapping[str, Any], place: str = "policy") -> Policy:
    """A policy from its document; raises `SettingError` that names the key, and what may stand there."""
    known = ("name", "seed", *KINDS)
    if unknown := [key for key in document if key not in known]:
        raise SettingError(f"{place}: no key {unknown[0]!r}; {similar_names(str(unknown[0]), known)}")
    parts: dict[str, tuple[Any, ...]] = {}
    for kind in KINDS:
        told = document.get(kind, [])
        if not isinstance(told, list | tuple):
            raise SettingError(f"{place}.{kind} must be a list, got {told!r}")
        parts[kind] = tuple(parse_part(kind, one, f"{place}.{kind}[{at}]") for at, one in enumerate(told))
    for kind in ("sources", "scorers"):
        if not parts[kind]:
            raise SettingError(f"{place}.{kind} is empty: name at least one")
    there = {part.NAME for part in parts["filters"]}
    guards = tuple(parse_part("filters", name, place) for name in GUARDS if name not in there)
    seed, name = document.get("seed", 0), document.get("name", "")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise SettingError(f"{place}.seed must be a whole number from 0, got {seed!r}")
    if not isinstance(name, str) or not name:
        raise SettingError(f"{place}.name must be a text, got {name!r}")
    return Policy(name, parts["sources"], guards + parts["filters"], parts["scorers"], parts["orderers"], seed)


def read_policy(path: Path) -> Policy:
    """A policy's YAML file; raises `SettingError` that names the file."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Yaml12)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SettingError(f"{path} is no policy ({' '.join(str(error).split())})") from error
    if not isinstance(document, Mapping):
        raise SettingError(f"{path} is no policy: its keys are name, seed, {', '.join(KINDS)}")
    return parse_policy({"name": path.stem, **document}, str(path))


def default_policy() -> Policy:
    """The one that is used where nobody chose another."""
    return parse_policy(DEFAULT)
