"""Settings of the overlay."""

from dataclasses import dataclass

from recsys_pipeline.core.types import check_settings, setting


@dataclass(frozen=True)
class OverlayConfig:
    """What counts as interest and as dislike, and how exact filters and trends are.

    The half-life of popularity is the release's own: the overlay goes on from its figures.
    """

    false_positive_rate: float = setting(
        0.001, "How often a filter hides an item that the user has not seen; a tenth costs 4.8 bits a pair.", gt=0, lt=1
    )
    avoid_events: tuple[str, ...] = setting(
        ("dislike", "hide", "not_interested", "report"),
        "Events by which a user asks not to be shown an item; they count neither for taste nor for popularity.",
    )
    rating_event: str = setting("rating", "The event whose value says how much a user liked an item.")
    avoid_below: float = setting(2.0, "Items that a user rated below this are not shown again.")
    trending_half_life_hours: float = setting(
        6.0, "A trend counts an interaction half after so many hours; popularity's half-life is the release's.", gt=0
    )
    n_trending: int = setting(100, "Items in the trending list, at most.", ge=0)

    __post_init__ = check_settings
