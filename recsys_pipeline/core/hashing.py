"""Hashes that are the same on every machine: of texts and of numbers, for lots, filters and the order of equals."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Integer, UInt64

GAMMA = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio, odd: SplitMix64's step."""


def mix(state: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """SplitMix64's output function: a bijection of 64 bits in which each bit depends on all.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    mixed = state + GAMMA  # wraps around, as it should
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def mix_columns(seed: int, *columns: Integer[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """One number per row that depends on the seed and on every column, in their order.

    >>> bool((mix_columns(0, np.arange(3)) == mix_columns(1, np.arange(3))).any())
    False
    """
    found = mix(np.full(len(columns[0]), seed % 2**64, np.uint64))
    for column in columns:
        found = mix(found ^ column.astype(np.uint64))
    return found


def text_hashes(texts: Sequence[str] | np.ndarray) -> UInt64[np.ndarray, " n"]:
    """SipHash of each text under a fixed key, by pandas, in C: what id tables are sorted by, and what orders equals.

    >>> hex(text_hashes(["lamp"])[0])
    '0x2d7a63e04d028614'
    """
    import pandas as pd  # half a second, which commands that hash nothing are spared

    return pd.util.hash_array(np.asarray(texts, object), categorize=False)


def id_hashes(ids: Sequence[str] | np.ndarray) -> UInt64[np.ndarray, " n"]:
    """64 bits of each id; the same everywhere."""
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in ids)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def pair_keys(users: UInt64[np.ndarray, " n"], items: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """Keys of (user, item) pairs, row by row; (a, b) and (b, a) differ."""
    return mix(mix(users) + items)
