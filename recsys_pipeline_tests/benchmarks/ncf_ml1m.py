"""EASE, ItemKNN and TopPop on the MovieLens 1M split of the NCF paper, with settings found on its train file alone.

    RECSYS_TEST_DATA=<folder> python -m recsys_pipeline_tests.benchmarks.ncf_ml1m [--seed 0]

One row of each user's train rows is drawn for validation, beside 99 items that the user does not have in train (the
file has no times, so the row cannot be the last). For each model the settings of a small grid with the highest HR@10
there, which is the figure that the authors chose by, are fitted on all of train and measured once on the test file,
with its own 99 negatives. Published figures are those of Dacrema et al., "A troubling analysis of reproducibility and
progress in recommender systems research", ACM TOIS 2021, table 55. Takes three minutes on two free cores. Prints each
trial, then a table.

What seed 0 chose is what `docs/evaluate.md` and `evaluate/test_published.py` set.
"""

import argparse
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from recsys_pipeline.adapters.splits.files import SplitFiles, read_split
from recsys_pipeline.core.configs import parse_config
from recsys_pipeline.core.folds import Split
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking

N_NEGATIVES = 99
PUBLISHED = {"popularity": (0.4533, 0.2542), "cooccurrence": (0.6694, 0.3979), "ease": (0.7192, 0.4494)}
"""HR@10 and NDCG@10 of TopPop, ItemKNN and EASE."""
GRIDS: dict[str, dict[str, list[Any]]] = {
    "popularity": {},
    "cooccurrence": {"neighbors_of": ["candidate"], "n_neighbors": [25, 50, 100, 200], "shrinkage": [0.0, 10.0, 100.0]},
    "ease": {"reg": [125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0]},
}


def read_ncf(folder: Path) -> SplitFiles:
    """The three files; item numbers of train, test and negatives are the same (`item_map.csv` leads to MovieLens)."""
    files = folder / "ncf-ml1m"
    train, test = files / "ml-1m.train.rating.no_ts.tsv.gz", files / "ml-1m.test.rating"
    return read_split([train], test, files / "ml-1m.test.negative.gz")


def draw_validation(train: Ratings, seed: int) -> tuple[Split, Ratings]:
    """One drawn row of each user with two or more, and 99 drawn items that the user has not."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(train)), train.user))
    is_drawn = np.r_[True, train.user[order][1:] != train.user[order][:-1]]
    has_more = np.bincount(train.user, minlength=train.n_users)[train.user[order]] > 1
    tested = np.sort(order[is_drawn & has_more])
    fitted = np.setdiff1d(np.arange(len(train)), tested)
    taken = np.zeros((train.n_users, train.n_items), bool)
    taken[train.user, train.item] = True
    users = np.repeat(train.user[tested], N_NEGATIVES)
    items = np.concatenate([rng.choice(np.flatnonzero(~taken[u]), N_NEGATIVES, False) for u in train.user[tested]])
    n = len(users)
    columns = users, items.astype(np.int32), np.ones(n, np.float32), np.zeros(n, np.int64)
    return Split(train=fitted, test=tested), Ratings(*columns, train.n_users, train.n_items)


def measure(name: str, settings: dict[str, Any], train: Ratings, test: Ratings, negatives: Ratings) -> tuple:
    """(HR@10, NDCG@10) of one model."""
    spec = discover()[name]
    model = spec.fit(train, parse_config(spec.config, settings, name), 0)
    result = evaluate_ranking(model, train, test, (10,), negatives=negatives, name=name)
    return result.mean("hit_rate", 10), result.mean("ndcg", 10)


def trials(grid: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of a grid's values; one empty trial for a model without settings."""
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def main() -> None:
    """Choose on validation, measure on test, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    files = read_ncf(Path(os.environ["RECSYS_TEST_DATA"]))
    assert files.negatives is not None
    cut, drawn = draw_validation(files.train, arguments.seed)
    fitted, validation = files.train.take(cut.train), files.train.take(cut.test)
    rows = []
    for name, grid in GRIDS.items():
        found = []
        for settings in trials(grid):
            hit_rate, ndcg = measure(name, settings, fitted, validation, drawn)
            print(f"validation {name:13} {settings}: HR@10 {hit_rate:.4f} NDCG@10 {ndcg:.4f}", flush=True)
            found.append((hit_rate, settings))
        best = max(found, key=lambda trial: trial[0])[1]
        rows.append((name, best, *measure(name, best, files.train, files.test, files.negatives), *PUBLISHED[name]))
    print(f"{'model':13} {'HR@10':>6} {'NDCG@10':>7}   published      settings")
    for name, best, hit_rate, ndcg, *published in rows:
        print(f"{name:13} {hit_rate:6.4f} {ndcg:7.4f}   {published[0]:.4f} {published[1]:.4f}  {best}")


if __name__ == "__main__":
    main()
