"""Warm start: the factors of an earlier fit carried over into the id space of a later one."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int32

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.factorization.objective import Factors


@dataclass(frozen=True)
class Start:
    """Earlier vectors `[u, b_u, 1]` and `[v, 1, c_i + μ]`, and where their rows went.

    `users` and `items` hold, for each user and item of the new training set, its row in the earlier tables, or −1. The
    new training set must hold full histories, not only what is new: each row is solved from all its ratings.

    Raises:
        ModelError: A row number is outside the earlier tables.
    """

    user_vectors: Float32[np.ndarray, "earlier_users dim"]
    item_vectors: Float32[np.ndarray, "earlier_items dim"]
    global_bias: float
    users: Int32[np.ndarray, " users"]
    items: Int32[np.ndarray, " items"]

    def __post_init__(self) -> None:
        for name, table in (("users", self.user_vectors), ("items", self.item_vectors)):
            rows = getattr(self, name)
            if len(rows) and not (rows.min() >= -1 and rows.max() < len(table)):
                raise ModelError(
                    f"Start.{name} spans {rows.min()}..{rows.max()}, outside -1..{len(table) - 1}: give rows of the "
                    "earlier model, and -1 for new ones"
                )

    def factors(self, drawn: Factors, embedding_size: int) -> Factors:
        """The earlier rows in padded tables like `drawn`; new rows are zero, and all items as drawn if none is known.

        Raises:
            ModelError: The earlier model has another embedding size, or the id maps are of another size.
        """
        user, item = self.user_vectors, self.item_vectors
        if user.shape[1] != embedding_size + 2:
            raise ModelError(
                f"the model to start from has embedding size {user.shape[1] - 2}, the config {embedding_size}: fit anew"
            )
        if len(self.users) > len(drawn.user) or len(self.items) > len(drawn.item):
            raise ModelError(
                f"Start maps {len(self.users)} users and {len(self.items)} items, more than the training set has"
            )
        if not (self.items >= 0).any():
            return drawn
        bias = np.float32(self.global_bias)
        return Factors(
            user=_moved(user[:, :-2], self.users, drawn.user),
            item=_moved(item[:, :-2], self.items, drawn.item),
            user_bias=_moved(user[:, -2], self.users, drawn.user_bias),
            item_bias=_moved(item[:, -1] - bias, self.items, drawn.item_bias),
            global_bias=jnp.asarray(bias),
        )


def _moved(table: np.ndarray, rows: np.ndarray, like: Any) -> Any:
    out, known = np.zeros(like.shape, np.float32), np.flatnonzero(rows >= 0)
    out[(known, slice(table.shape[1])) if table.ndim == 2 else known] = table[rows[known]]
    return jnp.asarray(out)
