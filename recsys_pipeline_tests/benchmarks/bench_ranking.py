"""Measures full-ranking evaluation with random factors; by default at Gowalla's size, which `ranking.py` quotes.

    python -m recsys_pipeline_tests.benchmarks.bench_ranking --repeats 3 --peer
    python -m recsys_pipeline_tests.benchmarks.bench_ranking --users 3000 --items 4000 --train 80000 --test 20000

Timed is the evaluation, scores included: fold and factors are made before. The first repeat also compiles.
Peak memory is the whole process's, with libraries and data; `before` is what it was when the timing began. Prints
JSON, then a table.

Two states of the code side by side, on a real split: each in a process of its own, in turns.

    git archive e18f6d9 recsys_pipeline | tar x -C /tmp/before
    python -m recsys_pipeline_tests.benchmarks.bench_ranking --split $RECSYS_TEST_DATA/gowalla --against /tmp/before

`ranking alone` takes scores from a stored block, so that no matrix product is timed: a permutation for each user, which
has no ties, or few levels, in which nearly everything is tied.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recsys_pipeline.adapters.splits.files import read_split
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.ranking import BATCH_SCORES, evaluate_ranking
from recsys_pipeline.core.reports.accuracy.resampling import ranking_estimates

BAR = 1.15
"""What judging ties may cost where there are none, of the time before."""


class RandomFactors:
    """A recommender whose vectors are noise: the cost of a ranking does not depend on its quality."""

    predicts_values = False

    def __init__(self, n_users: int, n_items: int, embedding_size: int, rng: np.random.Generator) -> None:
        self.users = rng.standard_normal((n_users, embedding_size), np.float32)
        self.items = rng.standard_normal((n_items, embedding_size), np.float32)

    def scores(self, users: np.ndarray) -> np.ndarray:
        return self.users[users] @ self.items.T


class StoredScores:
    """A recommender that hands out the same block of scores to each batch of users, at no cost."""

    predicts_values = False

    def __init__(self, n_items: int, n_levels: int | None, rng: np.random.Generator) -> None:
        n_users = max(1, BATCH_SCORES // n_items)
        if n_levels is None:
            self.block = np.stack([rng.permutation(n_items) for _ in range(n_users)]).astype(np.float32)
        else:
            self.block = rng.integers(0, n_levels, (n_users, n_items)).astype(np.float32)

    def scores(self, users: np.ndarray) -> np.ndarray:
        return self.block[: len(users)]


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


def tasks_of(options: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """What is timed, by name; the fold is read or drawn first."""
    rng = np.random.default_rng(options.seed)
    if options.split is None:
        train, test = random_folds(options.users, options.items, options.train, options.test, rng)
    else:
        files = read_split([options.split / "train.txt.gz"], options.split / "test.txt.gz")
        train, test = files.train, files.test
    factors = RandomFactors(train.n_users, train.n_items, options.embedding_size, rng)
    untied, tied = StoredScores(train.n_items, None, rng), StoredScores(train.n_items, 50, rng)
    ks = (10, 20, options.k)
    tasks: dict[str, Callable[[], object]] = {
        f"evaluate, k = 10, 20, {options.k}, with intervals": lambda: ranking_estimates(
            evaluate_ranking(factors, train, test, ks=ks), seed=0
        ),
        "evaluate, k = 20": lambda: evaluate_ranking(factors, train, test, ks=(20,)),
        "ranking alone, k = 20, no ties": lambda: evaluate_ranking(untied, train, test, ks=(20,)),
        f"ranking alone, k = 10, 20, {options.k}, no ties": lambda: evaluate_ranking(untied, train, test, ks=ks),
        "ranking alone, k = 20, 50 levels": lambda: evaluate_ranking(tied, train, test, ks=(20,)),
    }
    if options.peer:
        tasks["implicit, k = 20"] = peer_task(factors, train, test)
    return tasks


def seconds_of(task: Callable[[], object]) -> tuple[float, float]:
    """By the clock, and of all processor cores together, which other work on the machine hardly changes."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    task()
    return round(time.perf_counter() - begin, 3), round(time.process_time() - begin_cpu, 3)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each repeat of each task, and peak memory."""
    tasks = tasks_of(options)
    before_mib = peak_mib()
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(options.repeats):  # in turns, so that a slow spell of the machine hits all
        for name, task in tasks.items():
            seconds[name].append(seconds_of(task)[0])
    sizes = {"split": str(options.split)} if options.split else {
        "users": options.users, "items": options.items, "train_rows": options.train, "test_rows": options.test,
    }  # fmt: skip
    return {
        **sizes, "embedding_size": options.embedding_size, "seconds": seconds,
        "best_seconds": {name: min(times) for name, times in seconds.items()},
        "peak_rss_mib": peak_mib(), "peak_rss_before_mib": before_mib,
    }  # fmt: skip


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of every task by this code and by another checkout's, in turns, by the clock and of the processor."""
    here = Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory() as cache:
        sides = {"now": start(here, cache), "before": start(options.against, cache)}
        names = [json.loads(answer(side)) for side in sides.values()]
        seconds: dict[str, dict[str, list[list[float]]]] = {name: {side: [] for side in sides} for name in names[0]}
        for repeat in range(options.repeats + 1):
            for name in names[0]:
                for side, process in sides.items():
                    process.stdin.write(name + "\n")
                    process.stdin.flush()
                    taken = json.loads(answer(process))
                    if repeat:  # the first one compiles
                        seconds[name][side].append(taken)
        for process in sides.values():
            process.stdin.close()
            process.wait()
    best = {
        name: {side: [min(times) for times in zip(*pairs, strict=True)] for side, pairs in by_side.items()}
        for name, by_side in seconds.items()
    }
    ratios = {
        name: [round(now / before, 3) for now, before in zip(row["now"], row["before"], strict=True)]
        for name, row in best.items()
    }
    return {"split": str(options.split), "bar": BAR, "seconds": seconds, "best_seconds": best, "ratios": ratios}


def start(checkout: Path, cache: str) -> Any:
    """This program in a process of its own, with the package of that checkout; it runs the tasks that it is told."""
    own = {"PYTHONPATH": str(checkout), "NUMBA_CACHE_DIR": f"{cache}/{checkout.name}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, __file__, *sys.argv[1:], "--serve"]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **own}
    )


def answer(process: Any) -> str:
    if line := process.stdout.readline():
        return line
    raise SystemExit(f"a process ended early, with {process.wait()}: see its error above")


def serve(options: argparse.Namespace) -> None:
    """Run one task for each line with its name; answer with the seconds."""
    tasks = tasks_of(options)
    print(json.dumps(list(tasks)), flush=True)
    for line in sys.stdin:
        print(json.dumps(seconds_of(tasks[line.rstrip("\n")])), flush=True)


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
    parser.add_argument("--split", type=Path, help="folder of train.txt.gz and test.txt.gz instead of random rows")
    parser.add_argument("--against", type=Path, help="another checkout, to time side by side")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options)
    if options.against is not None:
        result = compare(options)
        print(json.dumps(result))
        for name, row in result["best_seconds"].items():
            for at, kind in enumerate(("clock", "processor")):
                before, now, ratio = row["before"][at], row["now"][at], result["ratios"][name][at]
                print(f"{name:<46}{kind:<10}{before:>8.2f} s before{now:>8.2f} s now{ratio:>8.3f} x")
        return None
    result = measure(options)
    print(json.dumps(result))
    for name, times in result["seconds"].items():
        print(f"{name:<46}{min(times):>8.2f} s   (all: {', '.join(map(str, times))})")
    print(f"{'peak memory of the process':<46}{result['peak_rss_mib']:>8} MiB")
    return None


if __name__ == "__main__":
    main()
