"""Measures the way from raw events to ratings: N random events over D days; target 20M rows < 60 s, < 2 GiB, 2 cores.

    python -m recsys_pipeline_tests.benchmarks.bench_ingest --rows 2_000_000 --days 30

Three steps: `write_periods`, `write_snapshot`, `Snapshot.ratings`. Each runs in a process of its own, so that the peak
memory is its own; CPU seconds are told beside wall seconds, since they depend less on what else the machine does. With
`--distinct` every event is a rating of a random item, so that nearly all pairs differ: the worst case for ratings.
Prints one JSON line per step, then a table.
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from recsys_pipeline.core.dataset.days import write_periods
from recsys_pipeline.core.dataset.snapshots import DayEntry, Snapshot, write_snapshot
from recsys_pipeline.core.time import Window

BATCH = 100_000
START = datetime(2026, 1, 1, tzinfo=UTC)


def events(rows: int, days: int, distinct: bool = False, seed: int = 0) -> pa.RecordBatchReader:
    """Random events in random order, with ids and positions as a marketplace would log them."""
    rng = np.random.default_rng(seed)
    users = pa.array([f"user-{number:07d}" for number in range(200_000)])
    items = pa.array([f"item-{number:06d}" for number in range(50_000)])
    names = pa.array(["rating"] if distinct else ["view", "click", "purchase", "rating"])
    start_us, span_us = int(START.timestamp() * 1e6), days * 86_400_000_000

    def batch(count: int) -> pa.RecordBatch:
        popular = np.minimum(rng.zipf(1.3, count), len(items)) - 1
        columns = {
            "user_id": users.take(pa.array(rng.integers(len(users), size=count))),
            "item_id": items.take(pa.array(rng.integers(len(items), size=count) if distinct else popular)),
            "event": names.take(pa.array(rng.integers(len(names), size=count))),
            "value": pa.array(rng.integers(1, 6, size=count).astype(np.float32)),
            "timestamp": pa.array(start_us + rng.integers(span_us, size=count), pa.timestamp("us", tz="UTC")),
            "position": pa.array(rng.integers(20, size=count, dtype=np.int32)),
            "propensity": pa.array(rng.uniform(0.01, 1, size=count).astype(np.float32)),
        }
        return pa.record_batch(columns)

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, rows, BATCH):
            yield batch(min(BATCH, rows - start))

    return pa.RecordBatchReader.from_batches(batch(0).schema, batches())


def ingest(folder: Path, rows: int, days: int, distinct: bool) -> dict[str, float]:
    """`write_periods`; the seconds include those in which the events are made, told apart as well."""
    begin = time.process_time()
    for _ in events(rows, days, distinct):
        pass
    making_s = time.process_time() - begin
    files = write_periods(events(rows, days, distinct), Window(START, START + timedelta(days=days)), folder / "days")
    entries = [DayEntry(file.day.isoformat(), f"days/{file.path}", file.digest, file.rows) for file in files]
    (folder / "entries.json").write_text(json.dumps([vars(entry) for entry in entries]))
    return {"generator_cpu_s": round(making_s, 1), "out": sum(file.rows for file in files)}


def snapshot(folder: Path, **_: object) -> dict[str, float]:
    """`write_snapshot` over all days at once."""
    (folder / "snapshot").mkdir()
    entries = [DayEntry(**entry) for entry in json.loads((folder / "entries.json").read_text())]
    return {"out": write_snapshot(folder / "snapshot", folder, entries).n_users}


def ratings(folder: Path, **_: object) -> dict[str, float]:
    """`Snapshot.ratings`."""
    return {"out": len(Snapshot.load(folder / "snapshot", folder).ratings())}


STEPS = {"ingest": ingest, "snapshot": snapshot, "ratings": ratings}


def measure(step: str, folder: Path, rows: int, days: int, distinct: bool) -> dict[str, float | str]:
    """One step in this process: seconds, CPU seconds, and the peak memory of the process."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    found = {"generator_cpu_s": 0.0, **STEPS[step](folder, rows=rows, days=days, distinct=distinct)}
    wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - begin_cpu
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    shape = {"step": step, "rows": rows, "days": days, "wall_s": round(wall_s, 1), "cpu_s": round(cpu_s, 1)}
    # The generator ran once alone and once within the step: neither pass is the step's own work.
    return {**shape, "own_cpu_s": round(cpu_s - 2 * found["generator_cpu_s"], 1), "peak_mib": round(peak_mib), **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000, 20_000_000])
    parser.add_argument("--days", type=int, nargs="+", default=[30])
    parser.add_argument("--distinct", action="store_true", help="nearly all pairs differ: the worst case")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(measure(options.step, options.folder, options.rows[0], options.days[0], options.distinct)))
        return
    results = []
    for rows, days in itertools.product(options.rows, options.days):
        with tempfile.TemporaryDirectory() as folder:
            for step in STEPS:
                case = ["--step", step, "--folder", folder, "--rows", str(rows), "--days", str(days)]
                command = [sys.executable, "-m", __spec__.name, *case, *(["--distinct"] * options.distinct)]
                output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                print(output.strip(), flush=True)
                results.append(json.loads(output))
    columns = list(results[0])
    for row in [columns, *([str(result[name]) for name in columns] for result in results)]:
        print("  ".join(f"{cell:>15}" for cell in row))


if __name__ == "__main__":
    main()
