"""Item-item co-occurrence: an item scores by how often its users also took what this user took."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32
from scipy import sparse

from recsys_pipeline.core.learning.model_files import check_users, load_model, save_model
from recsys_pipeline.core.models import ModelSpec
from recsys_pipeline.core.types import Progress, Ratings, check_settings, setting

ITEM_BLOCK = 1024
"""Items whose co-occurrence rows are held at once; sorting them takes some 50 bytes per pair of items that meet."""


@dataclass(frozen=True)
class CooccurrenceConfig:
    """Settings of the item-item neighbourhood model (Deshpande & Karypis, ACM TOIS 2004)."""

    n_neighbors: int = setting(100, "Most similar items that are kept for each item.", ge=1)
    shrinkage: float = setting(10.0, "Added to the cosine's denominator: rare pairs count for less.", ge=0.0)

    __post_init__ = check_settings


class CooccurrenceModel:
    """Scores are sums of shrunk cosine similarities over the user's training items."""

    predicts_values = False

    def __init__(self, config: CooccurrenceConfig, history: sparse.csr_array, similarity: sparse.csr_array) -> None:
        self.config, self.history, self.similarity = config, history, similarity
        self.n_users, self.n_items = len(history.indptr) - 1, len(similarity.indptr) - 1

    def scores(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        """The sum over the user's items of their similarity to each item; 0 where none is known."""
        check_users(users, self.n_users)
        return (self.history[users] @ self.similarity).toarray().astype(np.float32, copy=False)

    def save(self, directory: Path) -> None:
        """Write histories and similarities as compressed rows."""
        arrays = {
            f"{name}_{part}": getattr(matrix, part)
            for name, matrix in (("history", self.history), ("similarity", self.similarity))
            for part in ("data", "indices", "indptr")
        }
        save_model(directory, "cooccurrence", self.config, arrays, n_users=self.n_users, n_items=self.n_items)

    @classmethod
    def load(cls, directory: Path) -> "CooccurrenceModel":
        """Read back what `save` wrote."""
        config, arrays, facts = load_model(directory, "cooccurrence", CooccurrenceConfig)
        n_users, n_items = facts["n_users"], facts["n_items"]

        def matrix(name: str, n_rows: int) -> sparse.csr_array:
            parts = tuple(arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
            return sparse.csr_array(parts, shape=(n_rows, n_items))

        return cls(config, matrix("history", n_users), matrix("similarity", n_items))


def similar_items(history: sparse.csr_array, n_neighbors: int, shrinkage: float) -> sparse.csr_array:
    """`[item, neighbor]` similarities `c_ij / (√(c_i c_j) + shrinkage)`, the `n_neighbors` largest of each row.

    Ties are broken by the lower item id, so that the result does not depend on the order of the ratings.
    """
    count = np.asarray(history.sum(axis=0), np.float32)
    n_items = len(count)
    blocks = [sparse.csr_array((0, n_items), dtype=np.float32)]
    for first in range(0, n_items, ITEM_BLOCK):
        together = (history[:, first : first + ITEM_BLOCK].T @ history).tocoo()
        row, column = together.row, together.col
        value = together.data / (np.sqrt(count[first + row] * count[column]) + np.float32(shrinkage))
        other = column != first + row
        row, column, value = row[other], column[other], value[other]
        order = np.lexsort((column, -value, row))
        row, column, value = row[order], column[order], value[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        keep = rank < n_neighbors
        shape = (min(ITEM_BLOCK, n_items - first), n_items)
        blocks.append(sparse.csr_array((value[keep], (row[keep], column[keep])), shape=shape))
    return sparse.csr_array(sparse.vstack(blocks, format="csr"))


def fit(train: Ratings, config: CooccurrenceConfig, seed: int, progress: Progress | None = None) -> CooccurrenceModel:  # noqa: ARG001 - the protocol's signature
    """Count in how many histories each pair of items meets; a repeated pair of user and item counts once."""
    ones = np.ones(len(train), np.float32)
    history = sparse.csr_array((ones, (train.user, train.item)), shape=(train.n_users, train.n_items))
    history.sum_duplicates()
    history.data[:] = 1
    return CooccurrenceModel(config, history, similar_items(history, config.n_neighbors, config.shrinkage))


SPEC = ModelSpec("cooccurrence", CooccurrenceConfig, fit, CooccurrenceModel.load)
