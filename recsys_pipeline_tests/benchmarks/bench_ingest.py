"""Measures ingest: N random events over D days through `write_days`; target 20M rows in < 60 s and < 2 GiB on 2 cores.

    python -m recsys_pipeline_tests.benchmarks.bench_ingest --rows 2_000_000 --days 30

Each case runs in a process of its own, so that the peak memory is its own. Prints one JSON line per case, then a table.
"""

import argparse
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

from recsys_pipeline.core.dataset.days import write_days
from recsys_pipeline.core.types import Window

BATCH = 100_000
START = datetime(2026, 1, 1, tzinfo=UTC)


def events(rows: int, days: int, seed: int = 0) -> pa.RecordBatchReader:
    """Random events in random order, with ids, request ids and positions as a marketplace would log them."""
    rng = np.random.default_rng(seed)
    users = pa.array([f"user-{number:07d}" for number in range(200_000)])
    items = pa.array([f"item-{number:06d}" for number in range(50_000)])
    names = pa.array(["view", "click", "purchase", "rating"])
    start_us, span_us = int(START.timestamp() * 1e6), days * 86_400_000_000

    def batch(count: int) -> pa.RecordBatch:
        columns = {
            "user_id": users.take(pa.array(rng.integers(len(users), size=count))),
            "item_id": items.take(pa.array(np.minimum(rng.zipf(1.3, count), len(items)) - 1)),
            "event": names.take(pa.array(rng.integers(4, size=count))),
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


def measure(rows: int, days: int) -> dict[str, float]:
    """Seconds and peak memory of one ingest in this process, with the seconds that making the events takes alone."""
    begin = time.perf_counter()
    for _ in events(rows, days):
        pass
    generate_s = time.perf_counter() - begin
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        files = write_days(events(rows, days), Window(START, START + timedelta(days=days)), Path(folder))
        total_s = time.perf_counter() - begin
        size = sum((Path(folder) / file.path).stat().st_size for file in files)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "rows": rows, "days": days, "seconds": round(total_s, 2), "generator_seconds": round(generate_s, 2),
        "peak_rss_mib": round(peak_mib), "parquet_mib": round(size / 2**20, 1),
        "quarantined": sum(file.quarantined for file in files),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000, 20_000_000])
    parser.add_argument("--days", type=int, nargs="+", default=[30])
    parser.add_argument("--here", action="store_true", help="measure the one case in this process")
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.rows[0], options.days[0])))
        return
    results = []
    for rows in options.rows:
        for days in options.days:
            command = [sys.executable, "-m", __spec__.name, "--here", "--rows", str(rows), "--days", str(days)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            print(output.strip(), flush=True)
            results.append(json.loads(output))
    columns = list(results[0])
    for row in [columns, *([str(result[name]) for name in columns] for result in results)]:
        print("  ".join(f"{cell:>18}" for cell in row))


if __name__ == "__main__":
    main()
