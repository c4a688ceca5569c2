"""Bloom filters: sets of (user, item) pairs in a few bits each, which may say yes wrongly and never no wrongly.

With n keys, m bits and k hashes a key that is not in the set is found with probability (1 − e^(−kn/m))^k, which is the
least, 2^−k, at k = (m/n) ln 2 (Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 1970; Broder
and Mitzenmacher, "Network applications of Bloom filters: a survey", Internet Mathematics 2004). A rate of .001 takes
14.4 bits a pair and 10 hashes.

The bytes are the same on every machine and for every order of the keys. An id becomes 64 bits, the first eight of its
BLAKE2b digest, little-endian; a pair becomes `mix(mix(user) + item)`; bit i of a key x is `mix(x + i γ) mod m`, the
i-th output of SplitMix64 from the state x (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014). Bit b of the filter is bit b mod 64 of its 64-bit word b // 64.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt64

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.hashing import GAMMA, mix

WORD = 64


@dataclass(frozen=True)
class BloomFilter:
    """A set of 64-bit keys: `words` hold the bits, `n_keys` and `n_hashes` say how they were set.

    >>> keys = pair_keys(id_hashes(["ann", "bob"]), id_hashes(["lamp", "sofa"]))
    >>> BloomFilter.of(keys, 0.001).has(keys).tolist()
    [True, True]
    """

    words: UInt64[np.ndarray, " words"]
    n_hashes: int
    n_keys: int

    @classmethod
    def of(cls, keys: UInt64[np.ndarray, " n"], false_positive_rate: float) -> "BloomFilter":
        """The filter of these keys (one that stands twice counts once), as large as the rate asks for.

        Raises `SettingError` for a rate outside (0, 1).
        """
        if not 0 < false_positive_rate < 1:
            raise SettingError(f"false_positive_rate is {false_positive_rate}: it must lie between 0 and 1")
        keys = np.unique(keys)
        n_bits = -len(keys) * math.log(false_positive_rate) / math.log(2) ** 2
        n_words = max(1, math.ceil(n_bits / WORD))
        n_hashes = max(1, round(n_words * WORD / max(len(keys), 1) * math.log(2))) if len(keys) else 1
        is_set = np.zeros(n_words * WORD, bool)
        for number in range(n_hashes):
            is_set[_bits(keys, number, len(is_set))] = True
        words = np.packbits(is_set, bitorder="little").view("<u8")
        return cls(words, n_hashes, len(keys))

    def has(self, keys: UInt64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True for every key of the set, and for few others."""
        found = np.ones(len(keys), bool)
        for number in range(self.n_hashes):
            bit = _bits(keys, number, len(self.words) * WORD)
            found &= (self.words[bit // WORD] >> (bit % WORD)) & 1 == 1
        return found

    @property
    def false_positive_rate(self) -> float:
        """How often a key that is not in the set is found, as the bits stand."""
        return float((np.bitwise_count(self.words).sum() / (len(self.words) * WORD)) ** self.n_hashes)


def _bits(keys: UInt64[np.ndarray, " n"], number: int, n_bits: int) -> UInt64[np.ndarray, " n"]:
    return mix(keys + np.full(1, number, np.uint64) * GAMMA) % np.uint64(n_bits)
