"""Inner products that are the same wherever a vector stands and whatever the processor: what decides between equals.

A product of matrices rounds by the place of a row among others and by the processor (OpenBLAS gave up to three scores
for 1,003 equal vectors and one query), so it only chooses whom to look at.
"""

from typing import no_type_check

import numba
import numpy as np
from jaxtyping import Float32, Int64


def products_of_rows(
    queries: Float32[np.ndarray, "queries dim"],
    vectors: Float32[np.ndarray, "vectors dim"],
    rows: Int64[np.ndarray, "queries some"],
) -> tuple[Float32[np.ndarray, "queries some"], Float32[np.ndarray, " queries"]]:
    """Inner products of each query with some rows, −inf for row −1, and how far a float32 product may be off them.

    Summed in float64, one after the other, and rounded once. The bound is 2 dim ε Σ|q x|, twice the usual one (Higham,
    "Accuracy and stability of numerical algorithms", 2002, section 3.1), over these rows.
    """
    products, sizes = np.empty(rows.shape, np.float32), np.zeros(len(queries))
    wide, table = queries.astype(np.float64), np.ascontiguousarray(vectors).view()
    table.flags.writeable = False  # mapped files are: one kernel for both
    _products_of_rows(wide, table, np.ascontiguousarray(rows), products, sizes)
    return products, (2 * queries.shape[1] * np.finfo(np.float32).eps * sizes).astype(np.float32)


@numba.njit(nogil=True, cache=True)
@no_type_check  # numba compiles the plain function, not one that a type checker has wrapped
def _products_of_rows(queries, vectors, rows, products, sizes):
    for at in range(rows.shape[0]):
        for place in range(rows.shape[1]):
            row = rows[at, place]
            if row < 0:
                products[at, place] = -np.inf
                continue
            total, size = 0.0, 0.0
            for d in range(queries.shape[1]):
                part = queries[at, d] * np.float64(vectors[row, d])
                total += part
                size += abs(part)
            products[at, place] = total
            sizes[at] = max(sizes[at], size)
