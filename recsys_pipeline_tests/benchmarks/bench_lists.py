"""Time of lists: the top-k itself, search in an exact and in an approximate index, and `recommend` over a release.

    python -m recsys_pipeline_tests.benchmarks.bench_lists [--items 40000] [--users 4000] [--equals .25]

Data are made up: 64 factors, 30 pairs a user. `--equals` is the share of items that nobody took, which have one
vector. Each figure is the best of five passes on one thread of faiss.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from recsys_pipeline.core.models.als import AlsConfig, fit
from recsys_pipeline.core.neighbors import tuning
from recsys_pipeline.core.neighbors.exact import exact_top_k
from recsys_pipeline.core.neighbors.index import IndexConfig, build_index
from recsys_pipeline.core.neighbors.similar import similar_products
from recsys_pipeline.core.neighbors.vectors import VectorTable
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.monitoring.priors import Profile
from recsys_pipeline.core.serving.assemble import served_catalogue, served_items
from recsys_pipeline.core.serving.recommend import recommend
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.serving.release_config import ReleaseConfig
from recsys_pipeline.core.serving.release_parts import ReleaseParts, write_release

K, BATCH = 10, 256
END_US = int(datetime(2026, 1, 6, tzinfo=UTC).timestamp()) * 1_000_000


def pairs(n_users: int, n_items: int, equals: float) -> Ratings:
    """30 items a user, the popular ones more often, and every item but the last ones by somebody."""
    rng = np.random.default_rng(0)
    n_taken = round(n_items * (1 - equals))
    item = (n_taken * rng.random(30 * n_users) ** 2).astype(np.int32)
    item[: min(n_taken, len(item))] = rng.permutation(n_taken)[: len(item)]
    user = np.repeat(np.arange(n_users, dtype=np.int32), 30)
    _, first = np.unique(user * np.int64(n_items) + item, return_index=True)
    time_us = END_US - rng.integers(1, 10**12, len(first))
    return Ratings(user[first], item[first], np.ones(len(first), np.float32), time_us, n_users, n_items)


def make_release(directory: Path, known: Ratings) -> Release:
    """A release of these pairs, with the index that the pipeline would choose."""
    model = fit(known, AlsConfig(embedding_size=64, epochs=1), seed=0)
    ids = [f"item {number}" for number in range(known.n_items)]
    items, users = served_items(model, known, ids), model.fold_in(known)
    index = build_index(VectorTable(items.ids, items.vectors), users, IndexConfig(repeats=1), seed=0)
    print(f"index: {index.report.chosen.family}, recall {index.report.recall:.3f}")
    names = [f"user {number}" for number in range(known.n_users)]
    table = served_catalogue(items, known, END_US, 168.0)
    parts = ReleaseParts(
        "2026-01-05", END_US, ReleaseConfig(), model, names, users, items.vectors, known, table, index, Profile()
    )  # fmt: skip
    write_release(directory, parts)
    return Release.load(directory)


def best_ms(work: Callable[[], object], passes: int = 5) -> float:
    """Milliseconds of the fastest pass, after one that warms up."""
    work()
    seconds = np.inf
    for _ in range(passes):
        start = time.perf_counter()
        work()
        seconds = min(seconds, time.perf_counter() - start)
    return 1000 * seconds


def main() -> None:
    """Print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=40_000)
    parser.add_argument("--users", type=int, default=4_000)
    parser.add_argument("--equals", type=float, default=0.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, tuning.one_thread():
        release = make_release(Path(folder), pairs(asked.users, asked.items, asked.equals))
        users, items = np.asarray(release.user_vectors), np.asarray(release.item_vectors)
        ids = [f"user {number}" for number in range(min(1000, asked.users))]
        queries = np.ascontiguousarray(users[:BATCH])
        indexes = {family: tuning.build(family, items, 0) for family in ("flat", "ivf")}
        tuning.set_parameter(indexes["ivf"], "nprobe", 8)
        strangers = [f"nobody {number}" for number in range(len(ids))]
        work = {
            f"exact_top_k, {BATCH} queries": lambda: exact_top_k(queries, items, K),
            f"search flat, {BATCH} queries": lambda: tuning.search(indexes["flat"], queries, K),
            f"search ivf, {BATCH} queries": lambda: tuning.search(indexes["ivf"], queries, K),
            f"similar_products, {BATCH} of {len(items)}": lambda: similar_products(items, np.arange(BATCH), K),
            f"recommend, {len(ids)} users": lambda: recommend(release, None, ids, K),
            "recommend, one user": lambda: recommend(release, None, ids[:1], K),
            f"recommend, {len(ids)} strangers": lambda: recommend(release, None, strangers, K),
        }
        for name, one in work.items():
            print(f"{name:36} {best_ms(one):10.2f} ms")


if __name__ == "__main__":
    main()
