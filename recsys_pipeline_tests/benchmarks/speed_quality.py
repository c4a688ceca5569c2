"""Does the speed layer recommend better? Prequential NDCG@10 of the release with and without its hourly overlay.

    python -m recsys_pipeline_tests.benchmarks.speed_quality --size demo

On the simulated marketplace (tastes drift), for some days in turn: the release of the day is made as `serving/release`
makes it (ALS with its defaults, new items mapped from their categories), and through the next day, every `--step`
hours, the overlay of the hours before is made over it. What users newly choose in the hours after that is what is
predicted: by the release alone, and by release and overlay. Both get the same users, at the same moments, with the same
relevant items: those that the user had never chosen before that moment. Users that only the overlay knows get the
popular list from the release. A user's figures are averaged first, so that a user is one independent unit; the interval
is a bootstrap over users and the p-value that of the paired randomisation test. Prints a table and one JSON line.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys_pipeline.core.dataset.days import write_periods
from recsys_pipeline.core.dataset.events import EXPOSURE, WEB_LOG
from recsys_pipeline.core.dataset.schema import INTERACTIONS, validate_items
from recsys_pipeline.core.dataset.simulator import SIZES, Simulator
from recsys_pipeline.core.dataset.snapshots import DayEntry, Snapshot, write_snapshot
from recsys_pipeline.core.folds import divide
from recsys_pipeline.core.folds.prequential import prequential
from recsys_pipeline.core.learning.cold_start.cold_start import ItemSpace, fit_cold_start
from recsys_pipeline.core.learning.cold_start.config import ColdStartConfig
from recsys_pipeline.core.learning.cold_start.features import item_features
from recsys_pipeline.core.models.als import AlsConfig, fit
from recsys_pipeline.core.reports.accuracy.list_metrics import list_metrics
from recsys_pipeline.core.reports.accuracy.resampling import bootstrap_means
from recsys_pipeline.core.reports.accuracy.significance import randomisation_p_values
from recsys_pipeline.core.reports.monitoring.priors import Profile
from recsys_pipeline.core.serving.assemble import DayOfRelease, assemble
from recsys_pipeline.core.serving.recommend import recommend
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.serving.release_config import ReleaseConfig
from recsys_pipeline.core.serving.release_parts import write_release
from recsys_pipeline.core.speed.build import build_overlay
from recsys_pipeline.core.speed.config import OverlayConfig
from recsys_pipeline.core.speed.overlay import Overlay, write_overlay
from recsys_pipeline.core.time import DAY, HOUR, Window, microseconds

K = 10
COLUMNS = ("release", "with overlay", "gap")


def write_days_of(shop: Simulator, first: date, last: date, root: Path) -> list[DayEntry]:
    """Day files of the marketplace."""
    window = Window.of_days(first, last)
    files = write_periods(shop.interactions(window), window, root / "days")
    return [DayEntry(file.partition, f"days/{file.path}", file.digest, file.rows) for file in files]


def release_of(shop: Simulator, day: date, entries: list[DayEntry], root: Path) -> Release:
    """The day's release, as the daily batch makes it."""
    folder, window = root / f"snapshot-{day}", Window.of_day(day)
    folder.mkdir()
    write_snapshot(folder, root, [entry for entry in entries if entry.day <= day.isoformat()])
    snapshot = Snapshot.load(folder, root)
    ratings = snapshot.ratings()
    outer = prequential(ratings, 0.1, 0)
    fold = divide(ratings, outer, prequential(ratings.take(outer.train), 0.1, 1))
    train = fold.train_and_validation
    model = fit(train, AlsConfig(), seed=0)
    catalogue = validate_items(shop.items(window.end), window.end).clean
    known = item_features(snapshot.item_ids.tolist(), catalogue)
    mappers = fit_cold_start(known, ItemSpace.of(model, train), ColdStartConfig(), seed=0)
    parts = assemble(
        DayOfRelease(
            day.isoformat(), microseconds(window.end), model, fold, snapshot.user_ids, snapshot.item_ids, Profile(),
            catalogue, lambda ids: mappers.mapper.vectors(item_features(ids, catalogue, names=known.names)), mappers,
        ), ReleaseConfig(k=K), seed=0,
    )  # fmt: skip
    write_release(root / f"release-{day}", parts)
    return Release.load(root / f"release-{day}")


def chosen_pairs(events: pa.Table) -> list[tuple[str, str]]:
    """Pairs with an interaction, each once."""
    rows = events.filter(pa.array(WEB_LOG.signs(events) != EXPOSURE))
    return sorted(set(zip(rows["user_id"].to_pylist(), rows["item_id"].to_pylist(), strict=True)))


def between(events: pa.Table, start: datetime, end: datetime) -> pa.Table:
    """Events of a window."""
    time_us = events["timestamp"].cast(pa.int64()).to_numpy()
    return events.filter(pa.array((time_us >= microseconds(start)) & (time_us < microseconds(end))))


def compare(
    shop: Simulator, release: Release, events: pa.Table, end: datetime, step: int
) -> Iterator[tuple[str, float, float]]:
    """(user, NDCG@10 of the release, NDCG@10 with the overlay) for each user and block of hours of the next day."""
    known = release.histories.everything()
    user_ids, item_ids = release.users.all_ids().to_pylist(), release.items.all_ids().to_pylist()
    code: dict[str, int] = defaultdict(lambda: len(code))
    had = {(user_ids[user], item_ids[item]) for user, item in zip(known.user, known.item, strict=True)}
    for number in range(step, 24, step):
        now = end + number * HOUR
        past = between(events, end, now)
        catalogue = validate_items(shop.items(now), now).clean
        with tempfile.TemporaryDirectory() as folder:
            parts, _ = build_overlay(release, past, Window.of_hour(now - HOUR), OverlayConfig(), catalogue)
            write_overlay(Path(folder), release, parts)
            overlay = Overlay.load(Path(folder), release)
            before = had | set(chosen_pairs(past))
            wanted: dict[str, dict[int, float]] = defaultdict(dict)
            for user, item in chosen_pairs(between(events, now, now + step * HOUR)):
                if (user, item) not in before:
                    wanted[user][code[item]] = 1.0
            users = sorted(wanted)
            lists = [recommend(release, over, users, K).item_ids for over in (None, overlay)]
            for row, user in enumerate(users):
                one, two = (
                    list_metrics([code[item] for item in found[row]], wanted[user], K)["ndcg"] for found in lists
                )
                yield user, one, two


def judge(rows: list[tuple[str, float, float]], seed: int = 0) -> dict[str, float | int]:
    """Means over users, the paired difference with its 95% interval, and the p-value."""
    by_user: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for user, one, two in rows:
        by_user[user].append((one, two))
    values = np.array([np.mean(found, axis=0) for _, found in sorted(by_user.items())])
    values = np.column_stack([values, values[:, 1] - values[:, 0]])
    low, high = np.quantile(bootstrap_means(values, seed, 2000), (0.025, 0.975), axis=0)
    found: dict[str, float | int] = {"users": len(values), "lists": len(rows)}
    for at, name in enumerate(COLUMNS):
        found |= {name: round(float(values[:, at].mean()), 5), f"{name} low": round(float(low[at]), 5)}
        found |= {f"{name} high": round(float(high[at]), 5)}
    found["p"] = float(randomisation_p_values(values[:, 2:], seed)[0])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="demo")
    parser.add_argument("--history-days", type=int, default=21)
    parser.add_argument("--days", type=int, default=5, help="releases that are made, one per day")
    parser.add_argument("--step", type=int, default=3, help="hours between two overlays, and hours predicted")
    options = parser.parse_args()
    started, shop = time.perf_counter(), Simulator(SIZES[options.size])
    first = shop.config.start_date
    rows: list[tuple[str, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        last = first + timedelta(days=options.history_days + options.days)
        entries = write_days_of(shop, first, last, root)
        for number in range(options.days):
            day = first + timedelta(days=options.history_days + number - 1)
            release = release_of(shop, day, entries, root)
            tomorrow = root / next(entry.path for entry in entries if entry.day == (day + DAY).isoformat())
            events, end = pq.read_table(tomorrow).cast(INTERACTIONS), Window.of_day(day).end
            found = list(compare(shop, release, events, end, options.step))
            rows += found
            print(f"{day}: {json.dumps(judge(found))}", flush=True)
    total = judge(rows)
    print(json.dumps({**vars(options), **total, "seconds": round(time.perf_counter() - started, 1)}))
    for name in COLUMNS:
        print(f"{name:>14}  {total[name]:.4f}  [{total[f'{name} low']:.4f}, {total[f'{name} high']:.4f}]")
    print(f"p = {total['p']:.4f}, {total['users']} users, {total['lists']} lists")


if __name__ == "__main__":
    main()
