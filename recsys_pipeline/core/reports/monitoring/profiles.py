"""The profile of a day, in three parts: what people did, what the catalogue holds, what the model gives them.

Each part is built from plain arrays and stands by itself: the hourly layer needs the first and the last, a release the
last two.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from recsys_pipeline.core.reports.monitoring.priors import EMPTY_LISTS, Profile, ProfileConfig, Share, draw
from recsys_pipeline.core.reports.monitoring.retrieval_sample import Retrieval, neighbor_distances, norms, top_lists

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Events:
    """What people did in a window; `item` numbers the rows of the `CatalogueState` (−1: not in it)."""

    user: Int64[np.ndarray, " n"]
    item: Int64[np.ndarray, " n"]
    event: Shaped[np.ndarray, " n"]
    value: Float64[np.ndarray, " n"]
    timestamp_us: Int64[np.ndarray, " n"]
    is_interaction: Bool[np.ndarray, " n"]
    """All but exposures, which say that an item was shown and not that it was liked."""


@dataclass(frozen=True)
class FirstTimers:
    """Of the window's users and items, how many had no earlier interaction; none at all before the first window."""

    users: Share | None
    items: Share | None


@dataclass(frozen=True)
class CatalogueState:
    """The items of the catalogue at the end of the window; unknown is None (category) or NaN (numbers)."""

    category: Shaped[np.ndarray, " items"]
    price: Float64[np.ndarray, " items"]
    age_days: Float64[np.ndarray, " items"]
    available: Bool[np.ndarray, " items"]


def activity_profile(
    events: Events, catalogue: CatalogueState | None, first_timers: FirstTimers, config: ProfileConfig, seed: int
) -> Profile:
    """Events, hours, values and, with a catalogue, the categories and prices that people turned to; O(events).

    The unit is the user.
    """
    chosen = events.is_interaction
    hour = (events.timestamp_us // HOUR_US % 24).astype(np.float64)
    active, counts = np.unique(events.user, return_counts=True)
    found: Named = {
        "event": (events.event, events.user),
        "hour_of_day": (hour, events.user),
        "events_per_user": (counts.astype(np.float64), active),
        "interaction_value": (events.value[chosen], events.user[chosen]),
    }
    reasons = {}
    if catalogue is not None:
        known = chosen & (events.item >= 0)
        found |= _catalogued("interaction", catalogue, events.item[known], events.user[known])
        reasons = {f"interaction_{what}": f"no item that was chosen has a {what}" for what in ("category", "price")}
    news = {"cold_users": first_timers.users, "new_items": first_timers.items}
    reasons |= {name: "there is no earlier day" for name, share in news.items() if share is None}
    shares = {name: share for name, share in news.items() if share is not None}
    return _profile(found, shares, reasons, config, seed)


def catalogue_profile(catalogue: CatalogueState, config: ProfileConfig, seed: int) -> Profile:
    """Category, price and age of the items on offer, and the share that lacks them; the unit is the item."""
    on_offer = np.flatnonzero(catalogue.available)
    found = _catalogued("catalogue", catalogue, on_offer, on_offer)
    found["catalogue_age_days"] = (catalogue.age_days[on_offer], on_offer)
    reasons = {f"catalogue_{what}": f"no item on offer has a {what}" for what in ("category", "price")}
    reasons["catalogue_age_days"] = "no item on offer has a date of creation"
    priced, labelled = np.isfinite(catalogue.price[on_offer]), _labelled(catalogue.category[on_offer])
    shares = {
        "items_without_category": Share(int((~labelled).sum()), len(on_offer)),
        "items_without_price": Share(int((~priced).sum()), len(on_offer)),
        "items_on_offer": Share(len(on_offer), len(catalogue.available)),
    }
    return _profile(found, shares, reasons, config, seed)


def retrieval_profile(
    retrieval: Retrieval, catalogue: CatalogueState | None, config: ProfileConfig, seed: int
) -> Profile:
    """Scores and categories of the lists of a sample of active users, candidates per list, norms, neighbours.

    A candidate is an item on offer that the user has not seen. Their number moves for all users together when items
    come and go, so they are given as a share of the items on offer, which has a figure of its own. Time is O(drawn
    users × items), and 256 × items scores are held at once: 2.8 s and 274 MB for 2,000 of 29,858 users × 40,981
    items, 64 factors, 2 busy cores.
    """
    rng = np.random.default_rng([seed, 1])
    active = np.unique(retrieval.active_users[retrieval.active_users >= 0])  # −1: a user without a vector
    users = np.sort(rng.permutation(active)[: config.n_users]).astype(np.int64)
    offered = np.flatnonzero(_on_offer(retrieval, catalogue))
    queries = np.sort(rng.permutation(offered)[: config.n_neighbor_items])
    top, scores, candidates = top_lists(retrieval, users, offered, config.list_size)
    filled = top >= 0
    unit = np.repeat(users, filled.sum(axis=1))
    found: Named = {
        "score": (scores[filled], unit),
        "candidate_share": (candidates / max(len(offered), 1), users),
        "user_norm": (norms(retrieval.user_vectors[users]), users),
        "item_norm": (norms(retrieval.item_vectors[offered]), offered),
        "neighbor_distance": (neighbor_distances(retrieval.item_vectors, offered, queries), queries),
    }
    if catalogue is not None:
        rows = retrieval.catalogue_row[top[filled]]
        found |= _catalogued("recommended", catalogue, rows[rows >= 0], unit[rows >= 0])
    reasons = {f"recommended_{what}": f"no recommended item has a {what}" for what in ("category", "price")}
    return _profile(found, {EMPTY_LISTS: Share(int((candidates == 0).sum()), len(users))}, reasons, config, seed)


Named = dict[str, tuple[np.ndarray, np.ndarray]]
"""Values and the unit of each, by name."""


def _profile(
    found: Named, shares: dict[str, Share], reasons: dict[str, str], config: ProfileConfig, seed: int
) -> Profile:
    """Draw every distribution; what has a reason to be absent and no value is left out with that reason."""
    drawn = {name: draw(name, *part, config.sample_size, seed) for name, part in found.items()}
    kept = {name: part for name, part in drawn.items() if len(part) or name not in reasons}
    return Profile(kept, shares, {name: why for name, why in reasons.items() if name not in {*kept, *shares}})


def _catalogued(
    prefix: str, catalogue: CatalogueState, rows: Int64[np.ndarray, " n"], unit: Int64[np.ndarray, " n"]
) -> Named:
    category = catalogue.category[rows]
    labelled = _labelled(category)
    return {
        f"{prefix}_category": (category[labelled], unit[labelled]),
        f"{prefix}_price": (catalogue.price[rows], unit),
    }


def _labelled(category: np.ndarray) -> Bool[np.ndarray, " n"]:
    return np.array([label is not None for label in category], bool)


def _on_offer(retrieval: Retrieval, catalogue: CatalogueState | None) -> Bool[np.ndarray, " items"]:
    """Items that may be shown; those that the catalogue does not know are not on offer."""
    if catalogue is None:
        return np.ones(len(retrieval.item_vectors), bool)
    rows = retrieval.catalogue_row
    return (rows >= 0) & np.append(catalogue.available, False)[rows]
