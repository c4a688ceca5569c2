"""Who took what, as a sparse matrix of ones: what neighbourhood models score from, and how they store it."""

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from recsys_pipeline.core.ratings import Ratings

PARTS = ("data", "indices", "indptr")


def history_matrix(ratings: Ratings) -> sparse.csr_array:
    """`[user, item]` with a 1 (float32) for each observed pair, whatever its value and however often it is observed."""
    ones = np.ones(len(ratings), np.float32)
    history = sparse.csr_array((ones, (ratings.user, ratings.item)), shape=(ratings.n_users, ratings.n_items))
    history.sum_duplicates()
    history.data[:] = 1
    return history


def matrix_arrays(matrix: sparse.csr_array, name: str) -> dict[str, np.ndarray]:
    """The arrays of compressed rows, as `<name>_data`, `<name>_indices`, `<name>_indptr`."""
    return {f"{name}_{part}": getattr(matrix, part) for part in PARTS}


def matrix_from_arrays(arrays: Mapping[str, np.ndarray], name: str, n_columns: int) -> sparse.csr_array:
    """The matrix whose arrays `matrix_arrays` named."""
    data, indices, indptr = (arrays[f"{name}_{part}"] for part in PARTS)
    return sparse.csr_array((data, indices, indptr), shape=(len(indptr) - 1, n_columns))
