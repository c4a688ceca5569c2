"""What serving asks of an hourly overlay: what has changed since the release's day ended."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int64, UInt64


@runtime_checkable
class Overlay(Protocol):
    """Changes over one named release; anything it does not name is as the release says."""

    @property
    def user_vectors(self) -> Float32[np.ndarray, "users dim"]:
        """Vectors of users with events since the release, which replace the release's."""
        ...

    def user_rows(self, ids: Sequence[str]) -> Int64[np.ndarray, " asked"]:
        """The row of each user in `user_vectors`; −1 for those without events."""
        ...

    @property
    def item_ids(self) -> Sequence[str]:
        """Items that are on sale and that the release does not have."""
        ...

    @property
    def item_vectors(self) -> Float32[np.ndarray, "items dim"]:
        """Their vectors, in the release's space."""
        ...

    def seen(self, user_ids: Sequence[str], item_ids: Sequence[str]) -> Bool[np.ndarray, " pairs"]:
        """For each pair (user, item), whether the user took the item since the release, or wants to avoid it.

        It may say yes wrongly, at a stated rate, and never no wrongly.
        """
        ...

    def seen_by(self, user_id: str, item_keys: UInt64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """`seen` for one user and items by their `id_hashes`."""
        ...

    @property
    def items(self) -> pa.Table:
        """What is known of `item_ids`, in the columns of a release's catalogue."""
        ...

    @property
    def trending(self) -> Sequence[str]:
        """Items that are taken more than their popularity lets expect, the strongest first."""
        ...

    @property
    def unavailable(self) -> AbstractSet[str]:
        """Items of the release that are off sale now."""
        ...

    @property
    def available_again(self) -> AbstractSet[str]:
        """Items of the release that were off sale at its end and are on sale now."""
        ...

    @property
    def popularity(self) -> Mapping[str, float]:
        """Decayed counts now of items with new events; of others it is the release's times `decay`."""
        ...

    @property
    def decay(self) -> float:
        """What is left now of one count at the release's end."""
        ...
