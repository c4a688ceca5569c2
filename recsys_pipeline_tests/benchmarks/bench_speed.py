"""Measures one overlay: 100,000 new events over releases of 2M and 20M; targets 15 s, 2 GiB, and 1.3 × between both.

    python -m recsys_pipeline_tests.benchmarks.bench_speed

Synthetic releases are written to a temporary folder: users with log-normal activity (40 pairs on average), items by a
Zipf law, 64 factors, 50,000 items. The new events are interactions of 24 hours, all of them, by as many users over
either release, so that what differs is the base. The overlay is made in a fresh process: opening the release with
every digest checked, reading the hour files, building and writing count, and so do imports, which are told apart.
Prints one JSON line per case, then a table.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

if TYPE_CHECKING:
    from recsys_pipeline.core.serving.release_parts import ReleaseParts

N_ITEMS, DIM, PAIRS_PER_USER, HOURS, NEW_ITEMS = 50_000, 64, 40, 24, 200
END = datetime(2026, 1, 6, tzinfo=UTC)
DAY_US, HOUR_US = 86_400_000_000, 3_600_000_000
CASES = ((2_000_000, 20_000), (20_000_000, 20_000), (20_000_000, 5_000))
"""Pairs of the release, users with new events."""
PARTS = ("delta_of", "merge", "fold_in_users", "catalogue_change", "map_new_items", "popularity_table", "_filters")
"""Functions of `core/speed/build.py` that are timed."""


def zipf_items(rng: np.random.Generator, n: int, exponent: float = 0.8) -> np.ndarray:
    """Items by popularity rank; the r-th is drawn in proportion to r^-exponent."""
    cumulative = np.cumsum(np.arange(1, N_ITEMS + 1) ** -exponent)
    return np.searchsorted(cumulative, rng.random(n) * cumulative[-1]).clip(max=N_ITEMS - 1).astype(np.int32)


def activity(rng: np.random.Generator, n_users: int) -> np.ndarray:
    """Relative activity of users: log-normal with σ = 1, mean 1."""
    return rng.lognormal(-0.5, 1.0, n_users)


def make_release(store: Path, n_pairs: int) -> Path:
    """Store a release of about so many pairs."""
    from recsys_pipeline.adapters.store.artifact_store import ArtifactStore, Built
    from recsys_pipeline.adapters.store.manifest import Recipe
    from recsys_pipeline.core.serving.release_parts import write_release

    parts = release_parts(n_pairs)

    def build(directory: Path) -> Built:
        write_release(directory, parts)
        return Built({"pairs": len(parts.histories)})

    recipe = Recipe("serving/release", parts.day, (), {"pairs": n_pairs}, "", {})
    return ArtifactStore(str(store), cache=store).build(recipe, build).path


def release_parts(n_pairs: int) -> "ReleaseParts":
    """A release of about so many pairs, with plausible and unlearned vectors."""
    import pyarrow as pa

    from recsys_pipeline.core.dataset.schema import TIMESTAMP
    from recsys_pipeline.core.learning.factorization.objective import Totals
    from recsys_pipeline.core.models.als import AlsConfig, AlsModel, Trained
    from recsys_pipeline.core.neighbors.index import IndexConfig, build_index
    from recsys_pipeline.core.neighbors.vectors import VectorTable
    from recsys_pipeline.core.ratings import Ratings
    from recsys_pipeline.core.reports.monitoring.priors import Profile
    from recsys_pipeline.core.serving.release import CATALOGUE, decayed_popularity
    from recsys_pipeline.core.serving.release_config import ReleaseConfig
    from recsys_pipeline.core.serving.release_parts import ReleaseParts
    from recsys_pipeline.core.time import microseconds

    rng, n_users, end_us = np.random.default_rng(0), n_pairs // PAIRS_PER_USER, microseconds(END)
    user = np.repeat(np.arange(n_users), np.maximum(1, (PAIRS_PER_USER * activity(rng, n_users)).astype(np.int64)))
    key = np.unique(user * N_ITEMS + zipf_items(rng, len(user)))
    item = (key % N_ITEMS).astype(np.int32)
    age_us = (rng.random(len(key)) * 90 * DAY_US).astype(np.int64) + 1
    known = Ratings(
        (key // N_ITEMS).astype(np.int32), item, np.ones(len(key), np.float32), end_us - age_us, n_users, N_ITEMS
    )
    vectors = (rng.standard_normal((n_users, DIM), np.float32) / 8, rng.standard_normal((N_ITEMS, DIM), np.float32) / 8)
    one, bias = np.ones((N_ITEMS, 1), np.float32), rng.standard_normal((N_ITEMS, 1), np.float32) / 8
    items = np.hstack([vectors[1], one, bias])
    users = np.hstack([vectors[0], np.zeros((n_users, 1), np.float32), np.ones((n_users, 1), np.float32)])
    counts = (np.bincount(known.user, minlength=n_users), np.bincount(item, minlength=N_ITEMS))
    totals = Totals(float(len(key)), float(n_users), float((counts[1] > 0).sum()))
    user_count, item_count = (count.astype(np.float32) for count in counts)
    trained = Trained(user_count, item_count, one[:, 0], totals, end_us - 1, 1.0, 0.0)
    model = AlsModel(AlsConfig(embedding_size=DIM), users, items, trained)
    names = [f"item-{row:06d}" for row in range(N_ITEMS)]
    popularity = decayed_popularity(known, end_us, ReleaseConfig().popularity_half_life_hours)
    catalogue = pa.table({
        "item_id": pa.array(names), "title": pa.array(names), "categories": pa.array([["c"]] * N_ITEMS),
        "price": pa.array(np.ones(N_ITEMS)), "available": pa.array([True] * N_ITEMS),
        "created_at": pa.nulls(N_ITEMS, TIMESTAMP), "kind": pa.array(["learned"] * N_ITEMS),
        "popularity": pa.array(popularity),
    }).cast(CATALOGUE)  # fmt: skip
    flat = IndexConfig(family="flat", n_queries=20, repeats=1)
    index = build_index(VectorTable(names, items), users[:100], flat, seed=0)
    user_ids = np.array([f"user-{row:07d}" for row in range(n_users)], object)
    return ReleaseParts(
        "2026-01-05", end_us, ReleaseConfig(), model, user_ids, users, items, known, catalogue, index, Profile()
    )  # fmt: skip


def make_hours(directory: Path, n_pairs: int, n_events: int, n_active: int) -> None:
    """Hour files of the day after, and the catalogue at its end.

    The `n_active` users are drawn alike, so that they have as many pairs on average in either release: drawn by their
    activity, a tenth of the users would run out of busy ones.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from recsys_pipeline.core.dataset.schema import INTERACTIONS, ITEMS

    rng, n_users = np.random.default_rng(1), n_pairs // PAIRS_PER_USER
    active = rng.choice(n_users, n_active, replace=False)
    user = active[np.concatenate([np.arange(n_active), rng.integers(n_active, size=n_events - n_active)])]
    time_us = np.sort(rng.integers(HOURS * HOUR_US, size=n_events)) + int(END.timestamp()) * 1_000_000
    table = pa.table({
        "user_id": pa.array([f"user-{row:07d}" for row in user]),
        "item_id": pa.array([f"item-{row:06d}" for row in zipf_items(rng, n_events)]),
        "event": pa.array(np.array(["click", "purchase", "rating"], object)[rng.integers(3, size=n_events)]),
        "value": pa.array(rng.integers(1, 6, n_events).astype(np.float32)),
        "timestamp": pa.array(time_us, pa.timestamp("us", tz="UTC")),
        "request_id": pa.nulls(n_events, pa.string()), "position": pa.nulls(n_events, pa.int32()),
        "propensity": pa.nulls(n_events, pa.float32()),
    }).cast(INTERACTIONS)  # fmt: skip
    hour = (time_us - time_us.min()) // HOUR_US
    for number in range(HOURS):
        pq.write_table(table.filter(pa.array(hour == number)), directory / f"hour-{number:02d}.parquet")
    names = [f"item-{row:06d}" for row in range(N_ITEMS)] + [f"new-{row:03d}" for row in range(NEW_ITEMS)]
    rows = [{"item_id": name, "title": name, "categories": ["c"], "available": True} for name in names]
    pq.write_table(pa.Table.from_pylist(rows, schema=ITEMS), directory / "items.parquet")


class Clock:
    """Seconds by part, in order; what a part calls is told apart from it where it is a part too."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - begin, 2)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **more: Any) -> Any:
            with self.part(name):
                return function(*arguments, **more)

        return run


def peak_mib() -> int:
    """Peak memory of this process: `ru_maxrss` would tell that of the parent where that was larger."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return round(int(status["VmHWM"].split()[0]) / 1024)


def measure(release_folder: Path, hours: Path) -> dict[str, Any]:
    """One overlay in this process: seconds by part, peak memory, bytes."""
    clock = Clock()
    with clock.part("imports"):
        import pyarrow.parquet as pq

        from recsys_pipeline.adapters.store.artifact_store import Artifact
        from recsys_pipeline.adapters.store.manifest import MANIFEST_NAME, Manifest
        from recsys_pipeline.adapters.store.verification import verified
        from recsys_pipeline.core.serving.release import Release
        from recsys_pipeline.core.speed import build
        from recsys_pipeline.core.speed.config import OverlayConfig
        from recsys_pipeline.core.speed.delta import read_hours
        from recsys_pipeline.core.speed.overlay import write_overlay
        from recsys_pipeline.core.time import Window
    begin, cpu = time.perf_counter(), time.process_time()
    with clock.part("read hours"):
        events, catalogue = read_hours(sorted(hours.glob("hour-*.parquet"))), pq.read_table(hours / "items.parquet")
    with tempfile.TemporaryDirectory() as folder, clock.part("build, write, digests"):
        base = Artifact(release_folder, Manifest.read(release_folder / MANIFEST_NAME))
        with ExitStack() as timed, verified([base], beside=True):
            release = Release.load(base.path, verify=False)
            for name in PARTS:
                timed.enter_context(mock.patch.object(build, name, clock.timed(name, getattr(build, name))))
            hour = Window.of_hour(END + timedelta(hours=HOURS - 1))
            overlay, summary = build.build_overlay(release, events, hour, OverlayConfig(), catalogue)
            with clock.part("write"):
                write_overlay(Path(folder), release, overlay)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    return {
        "seconds": round(time.perf_counter() - begin, 2), "cpu_s": round(time.process_time() - cpu, 2),
        "peak_mib": peak_mib(), "bytes": size,
        "users": summary.users, "new_items": summary.new_items, "parts": clock.seconds,
        "process_s": round(clock.seconds["imports"] + time.perf_counter() - begin, 2),
    }  # fmt: skip


def run_case(release: Path, n_pairs: int, n_active: int, n_events: int, repeats: int) -> Iterator[dict[str, Any]]:
    """The case in fresh processes; files of the release are warm after the first."""
    with tempfile.TemporaryDirectory() as folder:
        make_hours(Path(folder), n_pairs, n_events, n_active)
        for _ in range(repeats):
            command = [sys.executable, "-m", __spec__.name, "--measure", str(release), folder]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            yield {"pairs": n_pairs, "events": n_events, "active": n_active, **json.loads(output)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return
    best: list[dict[str, Any]] = []
    releases: dict[int, Path] = {}
    with tempfile.TemporaryDirectory() as folder:
        for n_pairs, n_active in CASES:
            release = releases.get(n_pairs) or releases.setdefault(n_pairs, make_release(Path(folder), n_pairs))
            results = list(run_case(release, n_pairs, n_active, options.events, options.repeats))
            for result in results:
                print(json.dumps(result), flush=True)
            best.append(min(results, key=lambda result: result["seconds"]))
    columns = ("pairs", "active", "events", "seconds", "process_s", "cpu_s", "peak_mib", "bytes")
    for row in [columns, *([result[name] for name in columns] for result in best)]:
        print("  ".join(f"{cell:>10}" for cell in row))


if __name__ == "__main__":
    main()
