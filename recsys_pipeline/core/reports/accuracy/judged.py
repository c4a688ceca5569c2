"""Users' lists as chances: what stands at each place, in expectation over all orders of equal scores.

Groups of equal scores are apart from each other, and a group of g candidates of which r are relevant is a draw without
replacement, so everything that metrics need has a closed form. Without ties every chance is exactly 0 or 1.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from recsys_pipeline.core.reports.accuracy.tied_places import TiedPlaces


@dataclass(frozen=True)
class Judged:
    """Users' lists against what they went on to choose: all that a ranking metric may look at.

    Rows are relevant items, grouped by user; every user has at least one.
    """

    hits: Float64[np.ndarray, "users places"]
    """The chance that the item at each place is relevant."""
    hits_so_far: Float64[np.ndarray, "users places"]
    """The mean number of relevant items down to each place where that place holds one, times the chance that it does:
    E[hit · hits down to here]."""
    nothing_yet: Float64[np.ndarray, "users places"]
    """The chance that neither this place nor any above it holds a relevant item."""
    gains: Float64[np.ndarray, "users places"]
    """The mean value of the item at each place, counted where it is relevant and positive, else 0."""
    ideal_gains: Float64[np.ndarray, "users places"]
    """The values of the relevant items, highest first, cut at the last place."""
    n_relevant: Int64[np.ndarray, " users"]
    """Relevant items, found or not."""
    n_candidates: Int64[np.ndarray, " users"]
    """Items that competed."""
    row_user: Int64[np.ndarray, " rows"]
    """Position of each relevant item's user among `users`."""
    places: TiedPlaces
    """Where each relevant item stands."""


def judge(
    row_user: Int64[np.ndarray, " rows"],
    value: Float32[np.ndarray, " rows"],
    places: TiedPlaces,
    n_candidates: Int64[np.ndarray, " users"],
    n_places: int,
) -> Judged:
    """The chances of the first `n_places` places, from where the relevant rows stand; rows are grouped by user."""
    n_relevant = np.bincount(row_user, minlength=len(n_candidates))
    worth = np.maximum(value.astype(np.float64), 0)
    hits, gains = np.zeros((2, len(n_relevant), n_places))
    sure = (places.tied == 1) & (places.above < n_places)
    hits[row_user[sure], places.above[sure]] = 1.0
    gains[row_user[sure], places.above[sure]] = worth[sure]
    missed = 1.0 - hits
    hits_so_far = hits * np.cumsum(hits, axis=1)
    groups = _groups(row_user, worth, places)
    if len(groups.user):
        _fill_ties(groups, hits, gains, missed, hits_so_far)
        _count_after_ties(row_user, places, groups, sure, hits_so_far)
    return Judged(
        hits=hits,
        hits_so_far=hits_so_far,
        nothing_yet=np.cumprod(missed, axis=1),
        gains=gains,
        ideal_gains=_ideal_gains(row_user, worth, n_relevant, n_places),
        n_relevant=n_relevant,
        n_candidates=n_candidates,
        row_user=row_user,
        places=places,
    )


class _Groups(NamedTuple):
    """Candidates of one user with one score, some of them relevant; only groups of two and more."""

    user: Int64[np.ndarray, " groups"]
    above: Int64[np.ndarray, " groups"]
    size: Int64[np.ndarray, " groups"]
    relevant: Int64[np.ndarray, " groups"]
    found_before: Int64[np.ndarray, " groups"]
    """Relevant items of the user above the group."""
    worth: Float64[np.ndarray, " groups"]
    """Values of the group's relevant items added up."""


def _groups(row_user: np.ndarray, worth: np.ndarray, places: TiedPlaces) -> _Groups:
    tied = np.flatnonzero(places.tied > 1)
    keys = _keys(row_user, places.above)
    of_group, first, at, relevant = np.unique(keys[tied], return_index=True, return_inverse=True, return_counts=True)
    row = tied[first]
    return _Groups(
        row_user[row],
        places.above[row].astype(np.int64),
        places.tied[row].astype(np.int64),
        relevant.astype(np.int64),
        _found_above(np.sort(keys), row_user[row], of_group),
        np.bincount(at, worth[tied], len(row)),
    )


def _keys(user: np.ndarray, above: np.ndarray) -> Int64[np.ndarray, " n"]:
    """One number for each user and number of candidates above, ascending in both."""
    return user.astype(np.int64) << 32 | above.astype(np.int64)


def _found_above(sorted_keys: np.ndarray, user: np.ndarray, keys: np.ndarray) -> Int64[np.ndarray, " n"]:
    """How many relevant rows of the user have fewer candidates above than this key says."""
    of_user = np.searchsorted(sorted_keys, _keys(user, np.zeros_like(user)))
    return (np.searchsorted(sorted_keys, keys) - of_user).astype(np.int64)


def _fill_ties(
    groups: _Groups, hits: np.ndarray, gains: np.ndarray, missed: np.ndarray, hits_so_far: np.ndarray
) -> None:
    """The chances of the places that a group of equal scores covers.

    At the j-th of its g places (from 0), r of them relevant: a hit with r / g; where the places before it in the group
    hold none, with r / (g − j); together with another given place of the group, with r (r − 1) / (g (g − 1)).
    """
    shown = np.clip(hits.shape[1] - groups.above, 0, groups.size)
    at = np.repeat(np.arange(len(shown)), shown)
    j = np.arange(len(at)) - np.repeat(np.cumsum(shown) - shown, shown)
    cell = groups.user[at], groups.above[at] + j
    size, relevant = groups.size[at].astype(np.float64), groups.relevant[at].astype(np.float64)
    hits[cell] = relevant / size
    gains[cell] = groups.worth[at] / size
    missed[cell] = np.maximum(size - relevant - j, 0) / (size - j)
    hits_so_far[cell] = relevant / size * (groups.found_before[at] + 1 + j * (relevant - 1) / (size - 1))


def _count_after_ties(
    row_user: np.ndarray, places: TiedPlaces, groups: _Groups, sure: np.ndarray, hits_so_far: np.ndarray
) -> None:
    """What single rows of the same users count as found: whole rows, since a group above is above in every order."""
    has_ties = np.zeros(len(hits_so_far), bool)
    has_ties[groups.user] = True
    keys = _keys(row_user, places.above)
    rows = np.flatnonzero(sure & has_ties[row_user])
    found = _found_above(np.sort(keys), row_user[rows], keys[rows])
    hits_so_far[row_user[rows], places.above[rows]] = found + 1.0


def _ideal_gains(
    row_user: np.ndarray, worth: np.ndarray, n_relevant: np.ndarray, n_places: int
) -> Float64[np.ndarray, "users places"]:
    ideal = np.zeros((len(n_relevant), n_places))
    order = np.lexsort((-worth, row_user))
    rank = np.arange(len(row_user)) - np.repeat(np.cumsum(n_relevant) - n_relevant, n_relevant)
    best = order[rank < n_places]
    ideal[row_user[best], rank[rank < n_places]] = worth[best]
    return ideal
