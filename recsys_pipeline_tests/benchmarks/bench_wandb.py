"""Measures what tracking costs, and mirrors a real batch to a double of W&B's server.

    python -m recsys_pipeline_tests.benchmarks.bench_wandb overhead --size tiny --rounds 3
    python -m recsys_pipeline_tests.benchmarks.bench_wandb trials --trials 200 --seconds 1
    python -m recsys_pipeline_tests.benchmarks.bench_wandb push --size tiny

`overhead` runs `batch_daily` with tracking off and on (offline) in turns, each in a fresh process, and compares
the medians of the job's wall time; bar: at most 1.05. `trials` sleeps in tracked trials that log ten steps each;
bar: at most 1.10 of the time that they sleep. `push` makes a batch, a sweep of 20 trials and the batch that takes its
winner, all offline; pushes them, prints the edges that the server has, compares them with those of the manifests, and
pushes again; bar: equal, and no request. Each prints JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from recsys_pipeline.adapters.lineage.graph import read_graph
from recsys_pipeline.adapters.store.source_stores import SourceStores
from recsys_pipeline.adapters.wandb.tracker import Tracker
from recsys_pipeline.core.keys import ArtifactRef
from recsys_pipeline_tests.benchmarks.bench_daily import REPOSITORY
from recsys_pipeline_tests.benchmarks.bench_daily import measure as measure_batch
from recsys_pipeline_tests.mirrored import differences, mirrored_edges
from recsys_pipeline_tests.wandb_double import WandbDouble

OVERHEAD_BAR, TRIALS_BAR = 1.05, 1.10
DAY = "2026-01-05"
SWEEP = REPOSITORY / "conf" / "sweeps" / "als_ndcg.yaml"


def overhead(size: str, rounds: int) -> dict[str, Any]:
    """Wall seconds of the job, off and on in turns: what else the machine does meets both alike."""
    seconds: dict[str, list[float]] = {"disabled": [], "offline": []}
    for turn in range(rounds):
        for mode in (list(seconds), list(seconds)[::-1])[turn % 2]:
            with tempfile.TemporaryDirectory() as folder:
                seconds[mode].append(batch(Path(folder), size, mode)["job_s"])
    off, on = (statistics.median(seconds[mode]) for mode in ("disabled", "offline"))
    return {"size": size, "off_s": seconds["disabled"], "on_s": seconds["offline"], "ratio": round(on / off, 3),
            "bar": OVERHEAD_BAR}  # fmt: skip


def batch(folder: Path, size: str, mode: str) -> dict[str, Any]:
    """One `batch_daily` in a process of its own."""
    out = folder / "result.json"
    command = [sys.executable, "-m", __spec__.name, "batch", "--out", str(out)]
    subprocess.run(command, check=True, env=environment(folder, size) | {"WANDB_MODE": mode}, cwd=folder)
    return json.loads(out.read_text())


def environment(folder: Path, size: str) -> dict[str, str]:
    """A deployment in a folder, without a key."""
    (folder / "dagster").mkdir(exist_ok=True)
    (folder / "dagster" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "RECSYS_"))}
    return {
        **kept, "RECSYS_SOURCE": "simulator", "RECSYS_SIZE": size, "RECSYS_START_DATE": "2026-01-01",
        "RECSYS_HOME": f"{folder}/data", "DAGSTER_HOME": f"{folder}/dagster", "PYTHONPATH": str(REPOSITORY),
    }  # fmt: skip


def trials(count: int, seconds: float) -> dict[str, Any]:
    """Tracked trials that do nothing but sleep."""
    with tempfile.TemporaryDirectory() as folder:
        tracker = Tracker(Path(folder) / "wandb", "bench")
        begin = time.perf_counter()
        for number in range(count):
            with tracker.run(f"trial-{number}", "learning", {"reg": number}, "sweep") as run:
                for step in range(10):
                    time.sleep(seconds / 10)
                    run.log({"epoch": step, "loss": 1 / (step + 1)})
        wall_s = time.perf_counter() - begin
        tracker.close(wait_s=600)
        shown = len(list(Path(folder).rglob("*.wandb")))
    slept_s = count * seconds
    return {"trials": count, "slept_s": slept_s, "wall_s": round(wall_s, 2), "ratio": round(wall_s / slept_s, 3),
            "bar": TRIALS_BAR, "shown_in_leet": shown}  # fmt: skip


def push(size: str, n_trials: int) -> dict[str, Any]:
    """A batch, a sweep and the batch after it made offline, pushed twice."""
    with tempfile.TemporaryDirectory() as name, WandbDouble(Path(name) / "double") as double:
        folder = Path(name)
        batch(folder, size, "offline")
        offline = environment(folder, size) | {"WANDB_MODE": "offline"}
        recsys(folder, offline, "sweep", "run", str(SWEEP), "--day", DAY, "--count", str(n_trials))
        batch(folder, size, "offline")
        client = environment(folder, size) | double.environment()
        first_s = push_once(folder, client)
        before = len(double.requests())
        second_s = push_once(folder, client)
        graph = read_graph(SourceStores(f"{folder}/data/store", folder / "cache")(f"simulator-{size}"))
        edges = sorted(f"{_short(edge.input)} -> {_short(edge.output)}" for edge in mirrored_edges(double))
        print("edges at the server:", *edges, sep="\n  ", flush=True)
        return {
            "artifacts": len(graph.nodes), "edges_of_manifests": len(graph.edges()), "edges_at_server": len(edges),
            "different": differences(graph, double), "runs": len(double.runs()), "trials": n_trials,
            "push_s": first_s, "requests": before, "second_push_s": second_s,
            "second_push_requests": len(double.requests(before)),
        }  # fmt: skip


def push_once(folder: Path, client: dict[str, str]) -> float:
    """Seconds of `recsys wandb push`, which must leave nothing."""
    begin = time.perf_counter()
    recsys(folder, client, "wandb", "push")
    return round(time.perf_counter() - begin, 1)


def recsys(folder: Path, environment: dict[str, str], *arguments: str) -> None:
    """A command as people type it."""
    program = Path(sys.executable).with_name("recsys")
    subprocess.run([program, *arguments], check=True, env=environment, cwd=folder, stdout=sys.stderr)


def _short(ref: ArtifactRef) -> str:
    return f"{ref.key}@{ref.partition}:{ref.digest[:8]}"


def main() -> None:
    """Run what the command line names, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["overhead", "trials", "push", "batch"])
    parser.add_argument("--size", default="tiny", choices=["tiny", "demo", "large"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.what == "batch":
        options.out.write_text(json.dumps(measure_batch(DAY)))
        return
    results = {
        "overhead": lambda: overhead(options.size, options.rounds),
        "trials": lambda: trials(options.trials, options.seconds),
        "push": lambda: push(options.size, min(options.trials, 20)),
    }
    print(json.dumps(results[options.what]()))


if __name__ == "__main__":
    main()
