"""Hand-tuned weights: what a shop wants to show more or less of, from a day to a day."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from jaxtyping import Float32, Int64

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import part


@part("boost")
@dataclass(frozen=True)
class Boost:
    """Adds `weight` to the score of items of some categories and prices, while it lasts and where the context fits."""

    weight: float = setting(0.1, "Added to the score; below 0 it takes items down.")
    categories: tuple[str, ...] = setting((), "Of these alone; of all where it is empty.")
    price_at_most: float = setting(0.0, "Only items of a known price up to this; 0 for any.", ge=0)
    start: str = setting("", "The first moment, ISO 8601; empty for ever before.")
    end: str = setting("", "The moment from which it is over; empty for never.")
    context: str = setting("", "Only where the request's context has this, as name=value; empty for all.")

    def __post_init__(self) -> None:
        check_settings(self)
        for name in ("start", "end"):
            _moment_us(getattr(self, name), f"Boost.{name}")
        if self.context and "=" not in self.context:
            raise SettingError(f"Boost.context must read name=value, got {self.context!r}")

    def scores(self, asked: Asked, rows: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
        """By row."""
        if not self._holds(asked):
            return np.zeros(len(rows), np.float32)
        columns = asked.offer.columns
        chosen = np.ones(len(columns.price), bool)
        if self.categories:
            chosen &= asked.offer.once(("boost", self.categories), lambda: columns.in_categories(self.categories))
        if self.price_at_most:
            chosen &= columns.price <= self.price_at_most
        return np.where(chosen[rows], np.float32(self.weight), np.float32(0))

    def _holds(self, asked: Asked) -> bool:
        at_us = asked.request.at_us
        if self.start and at_us < _moment_us(self.start, "Boost.start"):
            return False
        if self.end and at_us >= _moment_us(self.end, "Boost.end"):
            return False
        name, _, value = self.context.partition("=")
        return not self.context or str(asked.request.context.get(name, "")) == value


def _moment_us(text: str, place: str) -> int:
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingError(f"{place} must be a date or a moment in ISO 8601, got {text!r}") from error
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1e6)
