"""What somebody asks of serving: a record that is logged whole, so that the list can be made again from it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recsys_pipeline.core.configs import similar_names
from recsys_pipeline.core.errors import SettingError

MOST_PLACES = 1_000
"""Of one list: who wants more exports the batch lists."""
MOST_HISTORY = 1_000
MOST_PREDICATES = 32
Value = str | float | bool
COLUMNS = ("category", "price", "created_at")
OPERATORS = {"in", "not_in", "at_least", "at_most"}


@dataclass(frozen=True)
class Predicate:
    """What the items of a list must satisfy; an item of which the column is not known does not.

    `category` takes `in` and `not_in` with texts, `price` and `created_at` (microseconds, UTC) `at_least` and `at_most`
    with a number.
    """

    column: str
    operator: str
    value: Any
    """A tuple of texts, or a number; of any type until it is checked."""

    def __post_init__(self) -> None:
        if self.column not in COLUMNS:
            raise SettingError(f"where: no column {self.column!r}; {similar_names(self.column, COLUMNS)}")
        if self.operator not in OPERATORS:
            raise SettingError(f"where: no operator {self.operator!r}; {similar_names(self.operator, OPERATORS)}")
        if (self.column == "category") != (self.operator in ("in", "not_in")):
            raise SettingError(f"where: {self.column} takes no {self.operator!r}")
        value = self.value
        if self.column == "category":
            if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
                raise SettingError(f"where: category takes a list of texts, got {value!r}")
            object.__setattr__(self, "value", tuple(value))
        elif isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise SettingError(f"where: {self.column} takes a number, got {value!r}")


@dataclass(frozen=True)
class Request:
    """One request. What it does not say has a default, so that `Request("r1", at_us)` asks for what is popular."""

    request_id: str
    """Who asks again under the same id gets the same draws."""
    at_us: int
    """When it was asked, UTC: what depends on time depends on this and on no clock."""
    user_id: str = ""
    """Empty for somebody of whom only the history below is known, or nothing."""
    k: int = 10
    history: tuple[str, ...] = ()
    """Items that the user took and the release may not know of, the latest last: the user is folded in on the spot."""
    around: str = ""
    """An item: the list is of what goes with it."""
    query: str = ""
    """Words: the list is of what they describe."""
    where: tuple[Predicate, ...] = ()
    context: Mapping[str, Value] = field(default_factory=dict)
    """What rules of a policy may look at, such as a country or a device."""

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MOST_PLACES:
            raise SettingError(f"k must be from 1 to {MOST_PLACES}, got {self.k}")
        if len(self.history) > MOST_HISTORY:
            raise SettingError(f"history: {len(self.history)} items, {MOST_HISTORY} at most: send the latest")
        if len(self.where) > MOST_PREDICATES:
            raise SettingError(f"where: {len(self.where)} predicates, {MOST_PREDICATES} at most")
        for name, value in self.context.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise SettingError(f"context.{name} must be finite, got {value}")

    @property
    def is_open(self) -> bool:
        """Whether anything may stand in a list that would be short: not where it is about an item or words."""
        return not (self.around or self.query)

    def document(self) -> dict[str, Any]:
        """As JSON holds it; `Request.of` reads it back."""
        return {**vars(self), "where": [vars(one) for one in self.where]}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Request":
        """What `document` wrote."""
        where = tuple(Predicate(**one) for one in document["where"])
        return cls(**{**document, "history": tuple(document["history"]), "where": where})

    def text(self) -> str:
        """Canonical JSON: one request has one text."""
        return json.dumps(self.document(), sort_keys=True, separators=(",", ":"))
