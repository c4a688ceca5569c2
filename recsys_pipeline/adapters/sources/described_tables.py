"""What the TOMLs of files and of databases describe alike: the columns of each table, and what an event is worth."""

import math
from datetime import date
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field, model_validator

from recsys_pipeline.adapters.sources.config_fields import Strict
from recsys_pipeline.core.dataset.events import Kind, PairRule, Repeats
from recsys_pipeline.core.dataset.far_days import MAX_GAP_DAYS

Worth = Annotated[float, Field(ge=-3e38, le=3e38, allow_inf_nan=False)]
"""A value of an event: finite, and within single precision."""
Name = TypeVar("Name")
"""How a column is named: in a file by its header or position, in a database by its name."""


class InteractionColumns(Strict, Generic[Name]):
    user_id: Name
    item_id: Name
    timestamp: Name
    event: Name | None = None
    value: Name | None = None
    request_id: Name | None = None
    position: Name | None = None
    propensity: Name | None = None

    @model_validator(mode="after")
    def _columns_differ(self) -> "InteractionColumns[Name]":
        places = {"user_id": self.user_id, "item_id": self.item_id, "timestamp": self.timestamp}
        if len(set(places.values())) < len(places):
            raise ValueError(f"user_id, item_id and timestamp must be three columns, not {list(places.values())}")
        return self


class ItemColumns(Strict, Generic[Name]):
    item_id: Name
    title: Name | None = None
    categories: Name | None = None
    price: Name | None = None
    available: Name | None = None
    created_at: Name | None = None
    image: Name | None = None


class LookImages(Strict, Generic[Name]):
    """The columns of looks without the ids, which files may leave out."""

    scene_image: Name
    product_image: Name
    left: Name | None = None
    top: Name | None = None
    right: Name | None = None
    bottom: Name | None = None

    @model_validator(mode="after")
    def _box_is_whole(self) -> "LookImages[Name]":
        sides = [self.left, self.top, self.right, self.bottom]
        if None in sides and any(side is not None for side in sides):
            raise ValueError("a box needs left, top, right and bottom")
        return self


EventColumns = TypeVar("EventColumns", bound=InteractionColumns[Any])


class Events(Strict, Generic[EventColumns]):
    """What rows of `[interactions]` mean."""

    columns: EventColumns
    event: str | None = Field(default=None, description="The event of every row, where no column tells it")
    values: dict[str, Worth] = Field(default={}, description="Event name -> value, where no column holds the value")
    max_gap_days: int = Field(
        default=MAX_GAP_DAYS, ge=1, description="Few rows that lie farther than this from all others are put aside"
    )

    @model_validator(mode="after")
    def _events_have_values(self) -> "Events[EventColumns]":
        if (self.event is None) == (self.columns.event is None):
            raise ValueError("give either event (a name for every row) or columns.event, and not both")
        if bool(self.values) == (self.columns.value is not None):
            raise ValueError("give either columns.value or the table values (event -> value), and not both")
        if self.event is not None and self.values and self.event not in self.values:
            raise ValueError(f"values has no entry for event {self.event!r}")
        return self


class EventsSection(Strict):
    """`[events]`: what events mean, and what those of a (user, item) pair are worth together."""

    repeats: Repeats = Field(default="one", description="Rows equal in user, item, event and time: one event, or each")
    pair: PairRule | None = Field(default=None, description="By default max for values of events, latest for ratings")
    scale: tuple[float, float] | None = Field(
        default=None, description="Least and greatest value of columns.value; below its middle is no interest"
    )
    likes_from: float | None = Field(default=None, description="Values of columns.value from here on are interest")
    meaning: dict[str, Kind] = Field(default={}, description="Event name -> interest, exposure or aversion")

    @model_validator(mode="after")
    def _scale_ascends(self) -> "EventsSection":
        if self.scale is not None and not -math.inf < self.scale[0] < self.scale[1] < math.inf:
            raise ValueError(f"scale {list(self.scale)} must be two numbers, the smaller one first")
        if self.likes_from is not None and not math.isfinite(self.likes_from):
            raise ValueError(f"likes_from {self.likes_from} must be a finite number")
        low, high = self.scale or (-math.inf, math.inf)
        if self.likes_from is not None and not low <= self.likes_from <= high:
            raise ValueError(f"likes_from {self.likes_from} lies outside scale {[low, high]}")
        return self


Interactions = TypeVar("Interactions")
Items = TypeVar("Items")
Looks = TypeVar("Looks")


class SourceConfig(Strict, Generic[Interactions, Items, Looks]):
    """The top of a source's TOML."""

    name: str = Field(pattern=r"^[a-z0-9-]+$", description="Names the storage namespace")
    first_day: date | None = Field(
        default=None, description="First day; with [interactions], those of earlier days are no part of the source"
    )
    moved_from: tuple[str, ...] = Field(
        default=(), description="Marks of the places at which the same rows lay before, as the refusal of a day says"
    )
    interactions: Interactions | None = None
    events: EventsSection = EventsSection()
    items: Items | None = None
    looks: Looks | None = None

    @model_validator(mode="after")
    def _days_are_known(self) -> "SourceConfig[Interactions, Items, Looks]":
        if self.interactions is None and self.looks is None:
            raise ValueError("declare [interactions] or [looks]: there is nothing to learn from")
        if self.interactions is None and self.first_day is None:
            raise ValueError("set first_day: without [interactions] nothing else tells when this source begins")
        return self

    @model_validator(mode="after")
    def _meaning_is_of_its_events(self) -> "SourceConfig[Interactions, Items, Looks]":
        valued = self._valued_events()
        if valued is None or self.interactions is None:
            return self
        strange = sorted(self.events.meaning.keys() - valued)
        if strange:
            raise ValueError(f"events.meaning names {strange[0]!r}, which interactions.values gives no value")
        if self.events.scale is not None or self.events.likes_from is not None:
            raise ValueError(
                "events.scale and events.likes_from are of columns.value; of events with values say events.meaning"
            )
        return self

    def _valued_events(self) -> set[str] | None:
        """Events of `values`; None where a column says what an event is worth."""
        found = self.interactions
        return set(found.values) if isinstance(found, Events) and found.columns.value is None else None
