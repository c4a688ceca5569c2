"""Measures `batch_daily` on a fresh runtime root: wall, time in the core, what orchestration costs; bar: at most 1.25.

    python -m recsys_pipeline_tests.benchmarks.bench_daily --size tiny demo

Overhead is the job's wall time over the sum of the seconds in the manifests that the run wrote. A manifest's seconds
are those of its core call; recipes, digests, fsync, W&B, metadata with plots and Dagster itself are in the wall alone.
Starting Python and loading the code location come before the job and are reported beside it. Each size runs in a
process and a temporary folder of its own, over the 28 days of history that a first `make demo` has. Prints one JSON
line per size, then tables.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from recsys_pipeline.first_settings import HISTORY_DAYS

BAR = 1.25
START = date(2026, 1, 1)
REPOSITORY = Path(__file__).parents[2]


def measure(day: str) -> dict[str, Any]:
    """One run in this process, with the settings of the environment."""
    begin = time.perf_counter()
    from recsys_pipeline.commands.running.launch import run_job
    from recsys_pipeline.definitions import defs

    load_s = time.perf_counter() - begin
    begin = time.perf_counter()
    outcome = run_job(defs, "batch_daily", day)
    wall_s = time.perf_counter() - begin
    steps = step_seconds(Path(os.environ["RECSYS_HOME"]) / "store", outcome.run_id)
    core_s = sum(steps.values())
    return {
        "size": os.environ["RECSYS_SIZE"], "made": outcome.made, "job_s": round(wall_s, 2), "core_s": round(core_s, 2),
        "overhead": round(wall_s / core_s, 3), "bar": BAR, "load_s": round(load_s, 2),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "steps_s": {key: round(seconds, 2) for key, seconds in sorted(steps.items())},
    }  # fmt: skip


def step_seconds(store: Path, run_id: str) -> Counter[str]:
    """Seconds per asset key that a run spent in the core; the days that it ingested count together."""
    seconds: Counter[str] = Counter()
    for path in store.rglob("manifest.json"):
        manifest = json.loads(path.read_text())
        if manifest["run_id"] == run_id:
            seconds[manifest["recipe"]["key"]] += manifest["seconds"]
    return seconds


def in_fresh_process(size: str) -> dict[str, Any]:
    """Measure one size in a process of its own, away from this checkout's `.env` and `data`."""
    with tempfile.TemporaryDirectory() as folder:
        dagster_home = Path(folder) / "dagster"
        dagster_home.mkdir()
        (dagster_home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        environment = {
            **os.environ, "RECSYS_SOURCE": "simulator", "RECSYS_SIZE": size, "RECSYS_START_DATE": START.isoformat(),
            "RECSYS_HOME": f"{folder}/data", "RECSYS_STORE": f"{folder}/data/store",
            "WANDB_MODE": os.environ.get("WANDB_MODE", "offline"), "DAGSTER_HOME": str(dagster_home),
            "PYTHONPATH": str(REPOSITORY),
        }  # fmt: skip
        day = START + timedelta(days=HISTORY_DAYS - 1)
        out = Path(folder) / "result.json"
        command = [sys.executable, "-m", __spec__.name, "--here", day.isoformat(), "--out", str(out)]
        begin = time.perf_counter()
        # Only stderr passes through: W&B's service would hold a pipe open after the run has ended.
        subprocess.run(command, check=True, env=environment, cwd=folder, stdout=subprocess.DEVNULL)
        return {**json.loads(out.read_text()), "process_s": round(time.perf_counter() - begin, 2)}


def main() -> None:
    """Run the sizes that the command line names, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", default=["tiny"], choices=["tiny", "demo", "large"])
    parser.add_argument("--here", metavar="DAY", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        options.out.write_text(json.dumps(measure(options.here)))
        return
    results = []
    for size in options.size:
        results.append(in_fresh_process(size))
        print(json.dumps(results[-1]), flush=True)
    print_tables(results)


def print_tables(results: list[dict[str, Any]]) -> None:
    """Figures by rows, sizes by columns; then the steps, in seconds in the core."""
    figures = [name for name in results[0] if name not in ("size", "steps_s")]
    steps = list(dict.fromkeys(key for result in results for key in result["steps_s"]))
    rows = [["", *(result["size"] for result in results)]]
    rows += [[name, *(result[name] for result in results)] for name in figures]
    rows += [[key, *(result["steps_s"].get(key, "") for result in results)] for key in steps]
    for row in rows:
        print(f"{row[0]:<24}" + "".join(f"{cell:>12}" for cell in row[1:]))


if __name__ == "__main__":
    main()
