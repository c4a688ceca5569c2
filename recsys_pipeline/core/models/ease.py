"""EASE: a linear item-item model in closed form, without a neighbourhood cut; strong on dense data, items² in memory.

It minimises `‖X − X B‖² + reg ‖B‖²` over item-item weights B whose diagonal is zero, so that no item explains itself.
With the Gram matrix `G = XᵀX` and `P = (G + reg I)⁻¹` the minimiser is `B_ij = −P_ij / P_jj` off the diagonal.
Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019, equation 8.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int32
from scipy import sparse
from scipy.linalg import get_lapack_funcs

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.model_files import check_items, check_users, load_model, save_model
from recsys_pipeline.core.learning.user_histories import history_matrix, matrix_arrays, matrix_from_arrays
from recsys_pipeline.core.models import ModelSpec
from recsys_pipeline.core.progress import Progress
from recsys_pipeline.core.ratings import Ratings

ITEM_BLOCK = 1024
"""Items whose rows of the Gram matrix are made at once, and whose weights are cast to float32 at once."""


@dataclass(frozen=True)
class EaseConfig:
    """Settings of the closed form."""

    reg: float = setting(
        500.0, "λ: added to the diagonal of the Gram matrix; more of it for more rows per item.", gt=0.0
    )
    max_items: int = setting(
        20_000,
        "Larger catalogues are refused: a fit takes 12 bytes × items² (20,000: 4.8 GB), and time × items³.",
        ge=1,
    )

    __post_init__ = check_settings


class EaseModel:
    """Scores are the sums of the learned weights from the user's training items to each item."""

    predicts_values = False

    def __init__(
        self, config: EaseConfig, history: sparse.csr_array, weights: Float32[np.ndarray, "items items"]
    ) -> None:
        self.config, self.history, self.weights = config, history, weights
        self.n_users, self.n_items = len(history.indptr) - 1, len(weights)

    def scores(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        """The rows of `X B`; 0 where no training item is known."""
        check_users(users, self.n_users)
        return np.asarray(self.history[users] @ self.weights)

    def for_users(self, histories: Ratings) -> "EaseModel":
        """The same weights over the users of `histories`."""
        check_items(histories, self.n_items)
        return EaseModel(self.config, history_matrix(histories), self.weights)

    def save(self, directory: Path) -> None:
        """Write histories as compressed rows, and the weights in full."""
        arrays = {"weights": self.weights, **matrix_arrays(self.history, "history")}
        save_model(directory, "ease", self.config, arrays)

    @classmethod
    def load(cls, directory: Path) -> "EaseModel":
        """Read back what `save` wrote."""
        config, arrays, _ = load_model(directory, "ease", EaseConfig)
        return cls(config, matrix_from_arrays(arrays, "history", len(arrays["weights"])), arrays["weights"])


def gram_matrix(history: sparse.csr_array) -> Float64[np.ndarray, "items items"]:
    """In how many histories each pair of items meets, some columns at a time: the sparse product would take more."""
    by_item = sparse.csr_array(history.T)
    n_items = len(by_item.indptr) - 1
    gram = np.empty((n_items, n_items), order="F")
    for first in range(0, n_items, ITEM_BLOCK):
        block = slice(first, first + ITEM_BLOCK)
        gram[:, block] = (by_item @ history[:, block]).toarray()
    return gram


def ease_weights(gram: Float64[np.ndarray, "items items"], reg: float) -> Float32[np.ndarray, "items items"]:
    """The minimiser B; `gram` is overwritten, because at the size limit a second such matrix takes 3.2 GB.

    Inverted in float64 by Cholesky: in float32 the rows of rare items lose their digits beside those of popular ones.
    Raises `ModelError` where the matrix is not positive definite in float64.
    """
    gram[np.diag_indices_from(gram)] += reg
    cholesky, invert = get_lapack_funcs(("potrf", "potri"), (gram,))
    inverse, failed = cholesky(gram, lower=0, overwrite_a=1, clean=0)
    if not failed:
        inverse, failed = invert(inverse, lower=0, overwrite_c=1)
    if failed:
        raise ModelError(f"ease cannot invert the Gram matrix with reg {reg}: raise ease.reg")
    diagonal = np.diag(inverse).copy()
    weights = np.empty(gram.shape, np.float32)
    for first in range(0, len(gram), ITEM_BLOCK):
        # LAPACK fills the upper triangle alone; the matrix is symmetric.
        block = slice(first, first + ITEM_BLOCK)
        upper = np.triu(inverse[block, first:])
        upper[:, : upper.shape[0]] += np.triu(inverse[block, block], 1).T
        weights[block, first:] = -upper / diagonal[first:]
        weights[first:, block] = -upper.T / diagonal[block]
    np.fill_diagonal(weights, 0)
    return weights


def fit(train: Ratings, config: EaseConfig, seed: int, progress: Progress | None = None) -> EaseModel:  # noqa: ARG001 - the protocol's signature
    """Solve for the weights; every observed pair counts as 1, whatever its value and however often it stands there.

    Raises:
        ModelError: more items than `max_items`, or a `reg` too small to invert the Gram matrix.
    """
    if train.n_items > config.max_items:
        needed = 12 * train.n_items**2 / 1e9
        raise ModelError(
            f"ease solves for {train.n_items:,}² weights ({needed:,.1f} GB while fitting), and ease.max_items is "
            f"{config.max_items:,}: raise it where there is memory, or take cooccurrence or als"
        )
    history = history_matrix(train)
    return EaseModel(config, history, ease_weights(gram_matrix(history), config.reg))


SPEC = ModelSpec("ease", EaseConfig, fit, EaseModel.load, daily=False)
