"""What going on from yesterday's model costs in accuracy and saves in time, day after day, on validation rows.

    python -m recsys_pipeline_tests.benchmarks.bench_warm STORE [--days 8] [--epochs 1 2 3] [--looks]

STORE is the store of one source (`data/store/<source>`) in which the days were ingested, such as the 28 days of
`make demo` or MovieTweetings' releases; about 20 s. Each of the last `--days` days is cut by `folds/prequential`'s
defaults. The first is fitted in full; each way then goes on from day to day on train rows, and is compared with a full
fit of the same day on validation rows that no earlier day had in train (NDCG@10, full minus continued, 95% interval
over users):

- `warm N`: all rows, N epochs (`als.continue_fit`)
- `touched N`: N rounds over the users and items whose train rows changed, from their full histories; all else stays as
  it was. It is here for comparison only: the product has no such step.

With `--looks`, the same for shop the look on the newest `dataset/looks` of the store, of whose scenes each day has
three more (same-category accuracy over 40 negatives, interval over pairs); about 6 minutes.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from recsys_pipeline.adapters.intake.ingestion import day_entries
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.dataset.snapshots import write_snapshot
from recsys_pipeline.core.folds import Fold, divide
from recsys_pipeline.core.folds.negatives import draw_negatives
from recsys_pipeline.core.folds.prequential import prequential
from recsys_pipeline.core.folds.triplets import LookFolds, TripletConfig, split_looks
from recsys_pipeline.core.learning.factorization.cpu import LAST_STEPS, STEPS, Side, solve_side
from recsys_pipeline.core.learning.factorization.objective import counts, totals_of
from recsys_pipeline.core.learning.factorization.rows import rating_rows
from recsys_pipeline.core.models import als, stl
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.parity.gaps import compare_rankings
from recsys_pipeline.core.time import Window

COMPARED_DAYS = (1, 3, 7)
Fit = Callable[[Any, Fold, Fold], Any]
"""From the earlier model, the earlier fold and today's to today's model."""


def folds_of(folder: Path, n_days: int) -> list[Fold]:
    """The folds of the store's last days, all in the id space of the last one."""
    store = ArtifactStore(str(folder), cache=folder.parent / "cache")
    last = date.fromisoformat(store.partitions("dataset/interactions")[-1])
    with store.staged() as staged:
        snapshot = write_snapshot(staged, store.local_root, day_entries(store, last)[1])
        days = [last - timedelta(days=n) for n in reversed(range(n_days))]
        return [fold_of(snapshot.ratings(until=Window.of_day(day).end)) for day in days]


def fold_of(ratings: Ratings) -> Fold:
    """As `folds/prequential` cuts by default."""
    outer = prequential(ratings, 0.1, 0)
    return divide(ratings, outer, prequential(ratings.take(outer.train), 0.1, 1))


def warm(config: als.AlsConfig, epochs: int) -> Fit:
    """All rows, some epochs."""
    settings = dataclasses.replace(config, warm_epochs=epochs)
    return lambda earlier, _, fold: als.continue_fit(earlier, fold.train, settings, 0)


def touched(config: als.AlsConfig, rounds: int) -> Fit:
    """Only rows whose ratings changed, with today's weights, totals and ages."""

    def fit(earlier: als.AlsModel, before: Fold, fold: Fold) -> als.AlsModel:
        train, objective, totals = fold.train, config.objective(), totals_of(fold.train)
        weight, item_weight, end_us, scale = als._weights(train, config)
        weights = counts(train.user, weight, train.n_users), counts(train.item, weight, train.n_items)
        trained = als.Trained(*weights, item_weight, totals, end_us, scale, 0.0)
        changed = np.setxor1d(pairs(train), pairs(before.train))
        user, item = earlier.user_vectors().copy(), earlier.item_vectors().copy()
        users = Side(user[:, :-2].copy(), user[:, -2].copy(), weights[0])
        items = Side(item[:, :-2].copy(), item[:, -1].copy(), weights[1])
        for side in (users, items):
            side.factor[side.count == 0], side.bias[side.count == 0] = 0, 0
        own_users = _rows(np.unique(changed // train.n_items), train.user, train.item, weight)
        own_items = _rows(np.unique(changed % train.n_items), train.item, train.user, weight)
        _solve(users, own_users, items, objective, totals, STEPS)
        for number in range(rounds):
            _solve(items, own_items, users, objective.transposed(), totals.transposed(), STEPS)
            _solve(users, own_users, items, objective, totals, LAST_STEPS if number == rounds - 1 else STEPS)
        left = np.column_stack([users.factor, users.bias, user[:, -1]])
        return als.AlsModel(config, left, np.column_stack([items.factor, item[:, -2], items.bias]), trained)

    return fit


def pairs(ratings: Ratings) -> np.ndarray:
    """Each pair as one number."""
    return ratings.user.astype(np.int64) * ratings.n_items + ratings.item


def _rows(ids: np.ndarray, own: np.ndarray, other: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, Any]:
    place = np.full(int(own.max()) + 1, -1, np.int32)
    ids = ids[ids < len(place)].astype(np.int32)
    place[ids] = np.arange(len(ids))
    kept = place[own] >= 0
    values = np.ones(int(kept.sum()), np.float32)
    return ids, rating_rows(place[own[kept]], other[kept], values, weight[kept], len(ids))


def _solve(own: Side, chosen: tuple[np.ndarray, Any], fixed: Side, objective: Any, totals: Any, steps: int) -> None:
    ids, rows = chosen
    part = Side(own.factor[ids], own.bias[ids], own.count[ids])
    solve_side(part, fixed, rows, 0.0, objective, totals, "cg", steps)
    own.factor[ids], own.bias[ids] = part.factor, part.bias


def compare(folds: list[Fold], ways: dict[str, Fit], config: als.AlsConfig) -> Iterator[str]:
    """A line per compared day and way."""
    first = als.fit(folds[0].train, config, 0)
    models, seconds = dict.fromkeys(ways, first), dict.fromkeys(ways, 0.0)
    for number in range(1, len(folds)):
        fold = folds[number]
        for name, fit in ways.items():
            begin = time.perf_counter()
            models[name] = fit(models[name], folds[number - 1], fold)
            seconds[name] = time.perf_counter() - begin
        if number not in COMPARED_DAYS:
            continue
        begin = time.perf_counter()
        full = als.fit(fold.train, config, 0)
        full_s = time.perf_counter() - begin
        known = [earlier.train for earlier in folds[:number]]
        for name, model in models.items():
            gap = compare_rankings(full, model, fold.train, fold.validation, known, 0, 1000)
            row = gap.difference
            yield (
                f"day {number}  {name:<10} {seconds[name]:6.2f} s  full {full_s:5.2f} s  NDCG@10 {gap.continued:.4f}, "
                f"full {gap.full:.4f}, gap {row.value:+.4f} [{row.low:+.4f}, {row.high:+.4f}]  left out "
                f"{gap.left_out} of {len(fold.validation)}"
            )


def compare_looks(data: LookData, n_days: int, epochs: list[int], scenes_per_day: int = 3) -> Iterator[str]:
    """A line per compared day and number of epochs."""
    days = []
    for left in reversed(range(n_days)):
        part = first_scenes(data, len(data.scene_ids) - scenes_per_day * left)
        folds = split_looks(part, TripletConfig(), 0)
        days.append((part, folds))
    config = stl.StlConfig()
    fitted = {number: timed_fit(days[number], config, None) for number in (0, n_days - 1)}
    for count in epochs:
        model = fitted[0][0]
        for number in range(1, n_days):
            model, seconds = timed_fit(days[number], dataclasses.replace(config, warm_epochs=count), model)
        full, full_s = fitted[n_days - 1]
        own, other = (hits(one, *days[-1]) for one in (full, model))
        gap, error = float((own - other).mean()), 1.96 * float((own - other).std() / np.sqrt(len(own)))
        yield (
            f"day {n_days - 1}  warm {count:<5} {seconds:6.1f} s  full {full_s:5.1f} s  accuracy {other.mean():.4f}, "
            f"full {own.mean():.4f}, gap {gap:+.4f} ± {error:.4f}"
        )


def first_scenes(data: LookData, n: int) -> LookData:
    """Looks as they stood when they had so many scenes."""
    kept = data.scene < n
    columns = {name: getattr(data, name)[kept] for name in ("scene", "product", "box")}
    return dataclasses.replace(data, **columns, scene_ids=data.scene_ids[:n], scene_images=data.scene_images[:n])


def timed_fit(day: tuple[LookData, LookFolds], config: stl.StlConfig, earlier: Any) -> tuple[stl.StlModel, float]:
    """A full fit, or one that goes on from an earlier model, and its seconds."""
    train, begin = day[1].for_training(day[0]), time.perf_counter()
    model = stl.continue_fit(earlier, train, config, 0) if earlier else stl.fit(train, config, 0)
    return model, time.perf_counter() - begin


def hits(model: stl.StlModel, data: LookData, folds: LookFolds) -> np.ndarray:
    """Per validation pair, the share of 40 products of its category that it outscores."""
    rows = folds.validation
    negatives = draw_negatives(data, rows, 40, np.random.default_rng(1), held_out=folds.held_out)
    categories = [data.categories[row] for row in data.product_category]
    products = model.embed_products(data.product_images, categories)
    scores = model.score(data.scene_images[data.scene[rows]], data.box[rows], products, categories)
    compared = np.concatenate([data.product[rows][:, None], negatives], axis=1)
    chosen = np.take_along_axis(scores, compared, axis=1)
    above = chosen[:, :1] - chosen[:, 1:]
    return ((above > 0) + 0.5 * (above == 0)).mean(axis=1)


def main() -> None:
    """Run what the command line asks for, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--looks", action="store_true")
    options = parser.parse_args()
    if options.looks:
        store = ArtifactStore(str(options.store), cache=options.store.parent / "cache")
        newest = store.get("dataset/looks", store.partitions("dataset/looks")[-1])
        lines = compare_looks(LookData.load(newest.path), options.days, options.epochs)
    else:
        config = als.AlsConfig()
        ways = {f"warm {n}": warm(config, n) for n in options.epochs}
        ways |= {f"touched {n}": touched(config, n) for n in (1, 2)}
        lines = compare(folds_of(options.store, options.days), ways, config)
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    main()
