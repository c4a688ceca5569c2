"""Item-item co-occurrence: an item scores by how often its users also took what this user took.

This is the ItemKNN of the literature: cosine similarity with shrinkage, cut to `n_neighbors`. With
`neighbors_of = "history"` each item of the user brings its own neighbours (Deshpande and Karypis, ACM TOIS 2004); with
`"candidate"` each candidate looks for its own neighbours among the user's items, which is how Dacrema et al. (ACM TOIS
2021) compute the figures that papers cite as ItemKNN.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int32
from scipy import sparse

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.hashing import mix
from recsys_pipeline.core.learning.model_files import check_items, check_users, load_model, save_model
from recsys_pipeline.core.learning.user_histories import history_matrix, matrix_arrays, matrix_from_arrays
from recsys_pipeline.core.models import ModelSpec
from recsys_pipeline.core.progress import Progress
from recsys_pipeline.core.ratings import Ratings

ITEM_BLOCK = 1024
"""Items whose co-occurrence rows are held at once; sorting them takes some 50 bytes per pair of items that meet."""


@dataclass(frozen=True)
class CooccurrenceConfig:
    """Settings of the item-item neighbourhood model."""

    n_neighbors: int = setting(100, "Most similar items that are kept for each item.", ge=1)
    shrinkage: float = setting(10.0, "Added to the cosine's denominator: rare pairs count for less.", ge=0.0)
    neighbors_of: Literal["history", "candidate"] = setting(
        "history", "Whose neighbours are kept: those of each item of the user, or those of each candidate."
    )

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

    def for_users(self, histories: Ratings) -> "CooccurrenceModel":
        """The same similarities over the users of `histories`."""
        check_items(histories, self.n_items)
        return CooccurrenceModel(self.config, history_matrix(histories), self.similarity)

    def save(self, directory: Path) -> None:
        """Write histories and similarities as compressed rows."""
        arrays = {**matrix_arrays(self.history, "history"), **matrix_arrays(self.similarity, "similarity")}
        save_model(directory, "cooccurrence", self.config, arrays, n_items=self.n_items)

    @classmethod
    def load(cls, directory: Path) -> "CooccurrenceModel":
        """Read back what `save` wrote."""
        config, arrays, facts = load_model(directory, "cooccurrence", CooccurrenceConfig)
        history, similarity = (matrix_from_arrays(arrays, name, facts["n_items"]) for name in ("history", "similarity"))
        return cls(config, history, similarity)


def similar_items(history: sparse.csr_array, n_neighbors: int, shrinkage: float) -> sparse.csr_array:
    """`[item, neighbor]` similarities `c_ij / (√(c_i c_j) + shrinkage)`, the `n_neighbors` largest of each row.

    Ties are broken by a hash of the item: neither its age nor the order of the ratings decides who stays.
    """
    count = np.asarray(history.sum(axis=0), np.float32)
    n_items = len(count)
    ties = mix(np.arange(n_items, dtype=np.uint64))
    blocks = [sparse.csr_array((0, n_items), dtype=np.float32)]
    for first in range(0, n_items, ITEM_BLOCK):
        together = (history[:, first : first + ITEM_BLOCK].T @ history).tocoo()
        row, column = together.row, together.col
        value = together.data / (np.sqrt(count[first + row] * count[column]) + np.float32(shrinkage))
        other = column != first + row
        row, column, value = row[other], column[other], value[other]
        order = np.lexsort((ties[column], -value, row))
        row, column, value = row[order], column[order], value[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        keep = rank < n_neighbors
        shape = (min(ITEM_BLOCK, n_items - first), n_items)
        blocks.append(sparse.csr_array((value[keep], (row[keep], column[keep])), shape=shape))
    return sparse.csr_array(sparse.vstack(blocks, format="csr"))


def fit(train: Ratings, config: CooccurrenceConfig, seed: int, progress: Progress | None = None) -> CooccurrenceModel:  # noqa: ARG001 - the protocol's signature
    """Count in how many histories each pair of items meets; a repeated pair of user and item counts once."""
    history = history_matrix(train)
    similarity = similar_items(history, config.n_neighbors, config.shrinkage)
    if config.neighbors_of == "candidate":
        similarity = sparse.csr_array(similarity.T)
    return CooccurrenceModel(config, history, similarity)


SPEC = ModelSpec("cooccurrence", CooccurrenceConfig, fit, CooccurrenceModel.load)
