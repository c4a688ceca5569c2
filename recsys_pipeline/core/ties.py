"""One rule for equal scores in lists that are shown: by a hash of the item's number, not by its age or its name.

Items are numbered as they were first seen, or by their ids, so "the lower number first" would favour what is old or
sorts early, for every user alike. The hash is the output function of SplitMix64 (Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", OOPSLA 2014), a bijection of 64 bits: no two items share a place, and which
of two stands first does not depend on how many others there are, on the processor or on the machine.

Figures of accuracy do not use it: they are means over all orders (`reports/accuracy`).
"""

import numpy as np
from jaxtyping import Int32, Integer, UInt64

TIE_KEY = np.uint64(0x9E3779B97F4A7C15)
"""Fixed, so that a list stays what it was: changing it reorders every list with equal scores."""


def tie_hashes(items: Integer[np.ndarray, " items"]) -> UInt64[np.ndarray, " items"]:
    """The hash of each item number; of equal scores the item with the smaller hash comes first.

    >>> np.argsort(tie_hashes(np.arange(6))).tolist()
    [3, 5, 4, 1, 2, 0]
    """
    mixed = items.astype(np.uint64) + TIE_KEY  # wraps around, as it should
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def tie_ranks(n_items: int) -> Int32[np.ndarray, " items"]:
    """The place of each of the items 0 … n − 1 when all of them are tied, counted from 0: what kernels compare."""
    ranks = np.empty(n_items, np.int32)
    ranks[np.argsort(tie_hashes(np.arange(n_items)))] = np.arange(n_items, dtype=np.int32)
    return ranks
