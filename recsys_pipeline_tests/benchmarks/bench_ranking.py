"""Measures full-ranking evaluation with random factors; by default at Gowalla's size, which `ranking.py` quotes.

    python -m recsys_pipeline_tests.benchmarks.bench_ranking --repeats 3 --peer
    python -m recsys_pipeline_tests.benchmarks.bench_ranking --users 3000 --items 4000 --train 80000 --test 20000

Timed is the evaluation, scores included: fold and factors are made before. The first repeat also compiles.
Peak memory is the whole process's, with libraries and data; `before` is what it was when the timing began. Prints
JSON, then a table.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline.core.reports.accuracy.resampling import ranking_estimates
from recsys_pipeline.core.types import Ratings


class RandomFactors:
    """A recommender whose vectors are noise: the cost of a ranking does not depend on its quality."""

    predicts_values = False

    def __init__(self, n_users: int, n_items: int, embedding_size: int, rng: np.random.Generator) -> None:
        self.users = rng.standard_normal((n_users, embedding_size), np.float32)
        self.items = rng.standard_normal((n_items, embedding_size), np.float32)

    def scores(self, users: np.ndarray) -> np.ndarray:
        return self.users[users] @ self.items.T


def random_folds(
    n_users: int, n_items: int, n_train: int, n_test: int, rng: np.random.Generator
) -> tuple[Ratings, Ratings]:
    """Distinct random pairs, divided in two; every user has at least one test row where there are enough."""
    first = np.arange(min(n_users, n_test), dtype=np.int64) * n_items + rng.integers(n_items, size=min(n_users, n_test))
    drawn = rng.integers(n_users * n_items, size=int(1.1 * (n_train + n_test)))
    others = np.setdiff1d(drawn, first)
    pairs = np.concatenate([first, rng.permutation(others)])[: n_train + n_test]

    def ratings(rows: np.ndarray) -> Ratings:
        user, item = (part.astype(np.int32) for part in np.divmod(rows, n_items))
        return Ratings(
            user, item, np.ones(len(rows), np.float32), np.zeros(len(rows), np.int64), n_users=n_users, n_items=n_items
        )

    return ratings(pairs[n_test:]), ratings(pairs[:n_test])


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each repeat of each task, and peak memory."""
    rng = np.random.default_rng(options.seed)
    train, test = random_folds(options.users, options.items, options.train, options.test, rng)
    model = RandomFactors(options.users, options.items, options.embedding_size, rng)
    before_mib = peak_mib()
    tasks: dict[str, Callable[[], object]] = {
        f"evaluate, k = 10, 20, {options.k}, with intervals": lambda: ranking_estimates(
            evaluate_ranking(model, train, test, ks=(10, 20, options.k)), seed=0
        ),
        "evaluate, k = 20": lambda: evaluate_ranking(model, train, test, ks=(20,)),
    }
    if options.peer:
        tasks["implicit, k = 20"] = peer_task(model, train, test)
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(options.repeats):  # in turns, so that a slow spell of the machine hits all
        for name, task in tasks.items():
            begin = time.perf_counter()
            task()
            seconds[name].append(round(time.perf_counter() - begin, 2))
    return {
        "users": options.users, "items": options.items, "embedding_size": options.embedding_size,
        "train_rows": len(train), "test_rows": len(test), "seconds": seconds,
        "best_seconds": {name: min(times) for name, times in seconds.items()},
        "peak_rss_mib": peak_mib(), "peak_rss_before_mib": before_mib,
    }  # fmt: skip


def peer_task(model: RandomFactors, train: Ratings, test: Ratings) -> Callable[[], object]:
    """The same factors by `implicit.evaluation.ranking_metrics_at_k`: precision, MAP, NDCG and AUC at 20."""
    from implicit.cpu.als import AlternatingLeastSquares  # pyright: ignore[reportMissingImports] - a peer, for benchmarks only
    from implicit.evaluation import ranking_metrics_at_k  # pyright: ignore[reportMissingImports] - a peer, for benchmarks only
    from scipy.sparse import csr_matrix

    peer = AlternatingLeastSquares(factors=model.users.shape[1])
    peer.user_factors, peer.item_factors = model.users, model.items
    shape = (train.n_users, train.n_items)
    seen, held_out = (csr_matrix((rows.value, (rows.user, rows.item)), shape) for rows in (train, test))
    return lambda: ranking_metrics_at_k(peer, seen, held_out, K=20, show_progress=False, num_threads=0)


def peak_mib() -> int:
    """Largest resident memory of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Parse the sizes, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=29_858)
    parser.add_argument("--items", type=int, default=40_981)
    parser.add_argument("--train", type=int, default=810_128, help="train rows")
    parser.add_argument("--test", type=int, default=217_242, help="test rows")
    parser.add_argument("--embedding-size", type=int, default=64)
    parser.add_argument("--k", type=int, default=100, help="longest list; 10 and 20 are measured too")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer", action="store_true", help="also time implicit (pip install -e .[peers])")
    parser.add_argument("--seed", type=int, default=0)
    result = measure(parser.parse_args())
    print(json.dumps(result))
    for name, times in result["seconds"].items():
        print(f"{name:<46}{min(times):>8.2f} s   (all: {', '.join(map(str, times))})")
    print(f"{'peak memory of the process':<46}{result['peak_rss_mib']:>8} MiB")


if __name__ == "__main__":
    main()
