"""Settings of the overlay."""

from dataclasses import dataclass

from recsys_pipeline.core.configs import check_settings, setting


@dataclass(frozen=True)
class OverlayConfig:
    """How exact filters and trends are.

    What counts as interest and the half-life of popularity are the release's own: the overlay goes on from its figures.
    """

    false_positive_rate: float = setting(
        0.001, "How often a filter hides an item that the user has not seen; a tenth costs 4.8 bits a pair.", gt=0, lt=1
    )
    trending_half_life_hours: float = setting(
        6.0, "A trend counts an interaction half after so many hours; popularity's half-life is the release's.", gt=0
    )
    n_trending: int = setting(100, "Items in the trending list, at most.", ge=0)

    __post_init__ = check_settings
