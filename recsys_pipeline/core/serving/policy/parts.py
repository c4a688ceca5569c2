"""The parts of a policy: four kinds, each a frozen dataclass of settings with one method, found by its file.

A file in `sources/`, `filters/`, `scorers/` or `orderers/` with a class under `@part("name")` adds a part; nothing
central changes. Its fields are its settings in the policy's document.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64

from recsys_pipeline.core.configs import parse_config, similar_names
from recsys_pipeline.core.errors import SettingError

if TYPE_CHECKING:
    from recsys_pipeline.core.serving.policy.asked import Asked

FIRST = 100
"""Candidates that each source is asked for at first, beyond the list's places."""
KINDS = ("sources", "filters", "scorers", "orderers")


@dataclass(frozen=True)
class Slate:
    """Candidates on their way to a list, best first once they are scored."""

    rows: Int64[np.ndarray, " n"]
    """Rows of the offer."""
    scores: Float32[np.ndarray, " n"]
    propensity: Float32[np.ndarray, " n"]
    """The chance that the policy shows this item at this place, given the places above it."""

    def take(self, places: np.ndarray) -> "Slate":
        """Those at some places, in that order."""
        return Slate(self.rows[places], self.scores[places], self.propensity[places])


@runtime_checkable
class Source(Protocol):
    """Gives candidates."""

    NAME: ClassVar[str]

    def candidates(self, asked: "Asked", n: int) -> Int64[np.ndarray, " found"]:
        """Rows of up to n items, best first; what is withheld is left to the filters.

        Where these left too few of the first `FIRST` and the list's places, it is asked again for more: whoever then
        gives fewer than n has no more.
        """
        ...


@runtime_checkable
class Filter(Protocol):
    """Withholds items."""

    NAME: ClassVar[str]

    def keeps(self, asked: "Asked", rows: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Which of these may be shown."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """Values candidates; the scores of several are added."""

    NAME: ClassVar[str]

    def scores(self, asked: "Asked", rows: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
        """Higher is better."""
        ...


@runtime_checkable
class Orderer(Protocol):
    """Arranges what is scored."""

    NAME: ClassVar[str]

    def order(self, asked: "Asked", slate: Slate) -> Slate:
        """The slate arranged; the first `asked.request.k` become the list. It may leave out, and adds nothing."""
        ...


Part = Source | Filter | Scorer | Orderer
Class = TypeVar("Class", bound=type)
_CLASSES: dict[str, dict[str, type]] = {kind: {} for kind in KINDS}


def part(name: str) -> Callable[[Class], Class]:
    """Registers a class under a name; its kind is the folder that it lies in."""

    def register(made: Class) -> Class:
        kind = made.__module__.split(".")[-2]
        other = _CLASSES[kind].setdefault(name, made)
        if other.__module__ != made.__module__:
            raise SettingError(f"{kind}: {name!r} stands in {other.__module__} and in {made.__module__}")
        made.NAME = name
        return made

    return register


@cache
def classes(kind: str) -> Mapping[str, type]:
    """Every part of a kind, by name."""
    package = importlib.import_module(f"{__package__}.{kind}")
    for found in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{found.name}")
    return dict(sorted(_CLASSES[kind].items()))


def parse_part(kind: str, told: Any, place: str) -> Any:
    """`name` or `{name: {setting: value}}` as a part; raises `SettingError` that names the place and what there is."""
    if isinstance(told, Mapping) and len(told) == 1:
        name, settings = next(iter(told.items()))
    else:
        name, settings = told, None
    if not isinstance(name, str) or not isinstance(settings or {}, Mapping):
        raise SettingError(f"{place} must be a name, or a name with its settings, got {told!r}")
    there = classes(kind)
    if name not in there:
        raise SettingError(f"{place}: {kind} know no {name!r}; {similar_names(name, there)}")
    return parse_config(there[name], settings or {}, f"{place}.{name}")
