"""Fits of `bench_mf.py`: ours and the peers', each behind the same few arguments."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from recsys_pipeline.core.models import als
from recsys_pipeline.core.ratings import Ratings

SIZE, PEER_EPOCHS, EXPLICIT_EPOCHS = 64, 15, 20


class Vectors:
    """A recommender by the dot products of given vectors."""

    predicts_values = False

    def __init__(self, users: np.ndarray, items: np.ndarray) -> None:
        self.users, self.items = users, items

    def scores(self, users: np.ndarray) -> np.ndarray:
        return self.users[users] @ self.items.T


def same_objective(train: Ratings, alpha: float, reg: float) -> dict[str, Any]:
    """Settings of ours whose minimiser ranks as `implicit`'s does with confidence alpha and penalty reg.

    `implicit` minimises Σ_Ω α (1 − û)² + Σ_other û² + reg (‖U‖² + ‖V‖²). Completing the square turns the first two sums
    into (α − 1) Σ_Ω (α / (α − 1) − û)² + Σ_all û². Ours has the target 1 and divides by |Ω|, N and M, so that û shrinks
    by α / (α − 1); only the product of both sides' penalties matters.
    """
    n, pairs = len(train), train.n_users * train.n_items
    return {"reg": reg / alpha / n * pairs**0.5, "gravity": pairs / n / (alpha - 1)}


def ours_implicit(
    train: Ratings, epochs: int, alpha: float, reg: float, frequency_power: float, solver: str
) -> Vectors:
    """Our fit of `implicit`'s objective; of a variant of it where `frequency_power` is not 0."""
    config = als.AlsConfig(
        embedding_size=SIZE, epochs=epochs, solver=solver, frequency_power=frequency_power, use_item_bias=False,  # pyright: ignore[reportArgumentType] - checked by the config
        half_life_days=0.0, **same_objective(train, alpha, reg),
    )  # fmt: skip
    model = als.fit(train, config, 0)
    return Vectors(model.user_vectors(), model.item_vectors())


def peer_implicit(matrix: Any, alpha: float, reg: float) -> Vectors:
    """`implicit`'s fit with its default solver, epochs and threads."""
    from implicit.cpu.als import AlternatingLeastSquares  # pyright: ignore[reportMissingImports] - a peer, for benchmarks only

    peer = AlternatingLeastSquares(
        factors=SIZE, regularization=reg, alpha=alpha, iterations=PEER_EPOCHS, random_state=0
    )
    peer.fit(matrix, show_progress=False)
    return Vectors(peer.user_factors, peer.item_factors)


def sparse(train: Ratings) -> Any:
    """The matrix of ones that `implicit` takes."""
    from scipy.sparse import csr_matrix

    ones = np.ones(len(train), np.float32)
    return csr_matrix((ones, (train.user, train.item)), (train.n_users, train.n_items))


def timed(task: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of wall time, and the result."""
    begin = time.perf_counter()
    result = task()
    return time.perf_counter() - begin, result


def ours_values(train: Ratings, test: Ratings, solver: str) -> tuple[float, np.ndarray]:
    # Of epochs 1 to 12 × reg .06 to .11 × ρ .5 to 1 × bias_reg .005 to .05, on a validation tenth of train.
    config = als.AlsConfig(
        embedding_size=SIZE, epochs=8, solver=solver, gravity=0.0, target="value", use_user_bias=True,  # pyright: ignore[reportArgumentType] - checked by the config
        use_global_bias=True, half_life_days=0.0, reg=0.095, bias_reg=0.05, frequency_power=0.55,
    )  # fmt: skip
    als.fit(train.take(np.arange(1000)), config, 0)
    seconds, model = timed(lambda: als.fit(train, config, 0))
    return seconds, (model.user_vectors()[test.user] * model.item_vectors()[test.item]).sum(1)


def cornac_values(train: Ratings, test: Ratings, _: str) -> tuple[float, np.ndarray]:
    from cornac.data import Dataset  # pyright: ignore[reportMissingImports] - a peer, for benchmarks only
    from cornac.models import MF  # pyright: ignore[reportMissingImports] - as above

    data = Dataset.from_uir(list(zip(train.user.tolist(), train.item.tolist(), train.value.tolist(), strict=True)))
    peer = MF(
        k=SIZE, max_iter=EXPLICIT_EPOCHS, learning_rate=0.01, lambda_reg=0.02, use_bias=True
    )  # no seed: all cores
    seconds, _ = timed(lambda: peer.fit(data))
    scores = np.array(
        [peer.rate(data.uid_map.get(u, data.num_users), data.iid_map.get(i, data.num_items)) for u, i in pairs(test)]
    )
    return seconds, scores


def surprise_values(train: Ratings, test: Ratings, _: str) -> tuple[float, np.ndarray]:
    import pandas as pd
    from surprise import SVD, Dataset, Reader  # pyright: ignore[reportMissingImports] - a peer, for benchmarks only

    table = pd.DataFrame({"user": train.user, "item": train.item, "value": train.value})
    data = Dataset.load_from_df(table, Reader(rating_scale=(1, 5))).build_full_trainset()
    peer = SVD(n_factors=SIZE, n_epochs=EXPLICIT_EPOCHS, random_state=0)
    seconds, _ = timed(lambda: peer.fit(data))
    return seconds, np.array([peer.predict(u, i).est for u, i in pairs(test)])


def pairs(ratings: Ratings) -> list[tuple[int, int]]:
    """(user, item) of each row."""
    return list(zip(ratings.user.tolist(), ratings.item.tolist(), strict=True))
