"""Is one model better than another on these users, or is it chance; and how small a gain could this test set show?

Users are paired: both models served the same ones. The randomisation test needs no assumption about the shape of the
differences. Smucker, Allan and Carterette, "A comparison of statistical significance tests for information retrieval
evaluation", CIKM 2007; Holm, "A simple sequentially rejective multiple test procedure", 1979.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64

from recsys_pipeline.core.errors import SettingError

ALPHA = 0.05
"""Chance of calling any difference real where there is none."""
POWER = 0.8
"""Chance of finding a difference of the minimum detectable size; the usual convention (Cohen 1988)."""
N_PERMUTATIONS = 4_999
"""Gives p-values in steps of 1/5000."""

_CHUNK_SIGNS = 4_000_000  # users × permutations held at once: 32 MB


def randomisation_p_values(
    gaps: Float64[np.ndarray, "users columns"], seed: int, n_permutations: int = N_PERMUTATIONS
) -> Float64[np.ndarray, " columns"]:
    """Two-sided p-value of each column's mean difference: how often random signs give a sum at least as large.

    `gaps` are differences per user; NaN leaves a user out of a column; a column without users is NaN. The observed
    signs count as one of the permutations, so that no p-value is 0 (Phipson and Smyth 2010).
    """
    if n_permutations < 1:
        raise SettingError(f"n_permutations = {n_permutations}: draw at least one")
    known = np.nan_to_num(gaps)
    total = known.sum(axis=0)
    # Sums in another order differ in their last digits; a tie must stay a tie.
    bound = np.abs(total) - 1e-12 * np.abs(known).sum(axis=0)
    rng, n_users = np.random.default_rng(seed), len(gaps)
    at_least, chunk = np.zeros(gaps.shape[1]), max(1, _CHUNK_SIGNS // max(1, n_users))
    for start in range(0, n_permutations, chunk):
        rows = min(chunk, n_permutations - start)
        packed = rng.integers(0, 256, size=(rows, -(-n_users // 8)), dtype=np.uint8)
        positive = np.unpackbits(packed, axis=1, count=n_users).astype(np.float64)
        at_least += (np.abs(2 * (positive @ known) - total) >= bound).sum(axis=0)
    undefined = np.isnan(gaps).all(axis=0)
    return np.where(undefined, np.nan, (1 + at_least) / (1 + n_permutations))


def exact_p_value(gaps: Sequence[float]) -> float:
    """The readable twin of `randomisation_p_values` for a few users: all 2^n signs, each as likely as the other."""
    observed = abs(sum(gaps))
    sums = [0.0]
    for gap in gaps:
        sums = [total + sign * gap for total in sums for sign in (1, -1)]
    return sum(abs(total) >= observed - 1e-12 for total in sums) / len(sums)


def holm(p_values: Float64[np.ndarray, " tests"]) -> Float64[np.ndarray, " tests"]:
    """Adjusted p-values: with those below α called real, the chance of any false call stays below α.

    The i-th smallest of m is multiplied by m − i + 1 and is never below one before it. NaN is no test, and stays NaN.

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    adjusted = np.full(len(p_values), np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def minimum_detectable_effect(
    gaps: Float64[np.ndarray, "users columns"], alpha: float = ALPHA, power: float = POWER
) -> Float64[np.ndarray, " columns"]:
    """The smallest true mean difference that a test on as many users, as different, finds with the given power.

    (z_{1−α/2} + z_power) · sd / √n; NaN below two users. Cohen, "Statistical power analysis", 1988, section 2.
    """
    normal, n = NormalDist(), (~np.isnan(gaps)).sum(axis=0)
    factor = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
    defined = n >= 2
    spread = np.full(gaps.shape[1], math.nan)
    spread[defined] = np.nanstd(gaps[:, defined], axis=0, ddof=1)
    return factor * spread / np.sqrt(np.maximum(n, 1))
