"""Whether an hour looks like what its release was made from, and whether one user makes too much of it.

Of a day's profile only that is compared which does not depend on the length of the window or the time of day: kinds of
events, values, categories and prices that people turned to, norms of folded-in users.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from recsys_pipeline.core.configs import setting
from recsys_pipeline.core.dataset.events import EXPOSURE, EventMeaning
from recsys_pipeline.core.reports.monitoring.divergence import UNITS_PER_BIN
from recsys_pipeline.core.reports.monitoring.drift import DriftLimits, DriftReport, drift_report
from recsys_pipeline.core.reports.monitoring.priors import Distribution, Profile, ProfileConfig, draw
from recsys_pipeline.core.reports.monitoring.profiles import CatalogueState, Events, FirstTimers, activity_profile
from recsys_pipeline.core.reports.monitoring.retrieval_sample import norms
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.speed.overlay import Overlay

COMPARED = ("event", "interaction_value", "interaction_category", "interaction_price", "user_norm")


@dataclass(frozen=True)
class HourLimits(DriftLimits):
    """From where on a difference of an hour counts: a day's limits, shared out among its hours."""

    false_alarm_rate: float = setting(
        0.0005, "Chance of any alarm in an hour in which nothing changed: about one in 80 days.", gt=0, lt=1
    )
    max_user_share: float = setting(0.2, "Share of the hour's interactions that one user may have.", gt=0, le=1)
    min_interactions: int = setting(100, "Interactions from which on a user's share is judged.", ge=1)


@dataclass(frozen=True)
class LargestUser:
    """The user with the most interactions of an hour; "" where there is none."""

    user_id: str
    interactions: int
    share: float
    """Of all interactions of the hour; NaN where there is none."""
    too_large: bool


def largest_user(events: pa.Table, limits: HourLimits, meaning: EventMeaning) -> LargestUser:
    """Who has the most interactions (exposures left out); of equals the first by id."""
    is_interaction = meaning.signs(events) != EXPOSURE
    users, counts = np.unique(events.column("user_id").to_numpy()[is_interaction].astype(object), return_counts=True)
    if not len(users):
        return LargestUser("", 0, float("nan"), too_large=False)
    at, total = int(counts.argmax()), int(counts.sum())
    share = float(counts[at] / total)
    return LargestUser(
        users[at], int(counts[at]), share, total >= limits.min_interactions and share > limits.max_user_share
    )


def hour_profile(events: pa.Table, release: Release, overlay: Overlay, config: ProfileConfig, seed: int) -> Profile:
    """What people did in the hour, and norms of the overlay's users: what of an hour can be compared with a day."""
    _, user = np.unique(events.column("user_id").to_numpy().astype(object), return_inverse=True)
    told = Events(
        user=user.astype(np.int64),
        item=_catalogue_rows(events.column("item_id").to_numpy(), release, overlay),
        event=events.column("event").to_numpy().astype(object),
        value=events.column("value").to_numpy().astype(np.float64),
        timestamp_us=events.column("timestamp").cast(pa.int64()).to_numpy(),
        is_interaction=release.events.signs(events) != EXPOSURE,
    )
    profile = activity_profile(told, _state(release, overlay), FirstTimers(None, None), config, seed)
    vectors = overlay.user_vectors
    norm = draw("user_norm", norms(vectors), np.arange(len(vectors)), config.sample_size, seed)
    found = {name: part for name, part in profile.distributions.items() if name in COMPARED} | {"user_norm": norm}
    return Profile({name: part for name, part in found.items() if _has_enough(part)})


def hour_report(priors: Profile, hour: Profile, limits: HourLimits, name: str) -> DriftReport:
    """The hour against a release's priors, in what both have; `name` says in words what the priors are of."""
    both = [feature for feature in hour.distributions if feature in priors.distributions]
    absent = {
        feature: "too few users in the hour" if feature in priors.distributions else "the release's priors lack it"
        for feature in COMPARED
        if feature not in both
    }
    before, now = (Profile({feature: side.distributions[feature] for feature in both}) for side in (priors, hour))
    return dataclasses.replace(drift_report(before, now, limits, name), absent=absent)


def _has_enough(found: Distribution) -> bool:
    """Fewer users than two bins want say nothing."""
    return len(np.unique(found.unit)) >= 2 * UNITS_PER_BIN


def _catalogue_rows(items: np.ndarray, release: Release, overlay: Overlay) -> Int64[np.ndarray, " n"]:
    """Rows of the release's items, then of the overlay's; −1 for items that neither has."""
    names, at = np.unique(items.astype(object), return_inverse=True)
    rows, new = release.item_rows(names), overlay.item_rows(names)
    return np.where(new >= 0, new + release.n_items_all, rows)[at]


def _state(release: Release, overlay: Overlay) -> CatalogueState:
    table = pa.concat_tables(
        [part.select(["categories", "price", "available"]) for part in (release.catalogue, overlay.items)]
    )
    return CatalogueState(
        category=np.array([names[0] if names else None for names in table["categories"].to_pylist()], object),
        price=table["price"].to_pandas().to_numpy(np.float64, na_value=np.nan),
        age_days=np.full(table.num_rows, np.nan),
        available=table["available"].to_numpy().astype(bool),
    )
