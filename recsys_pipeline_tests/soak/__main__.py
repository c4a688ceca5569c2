"""Two weeks of a deployment in minutes: every hour and every night by the real schedules, with faults on the way.

    make soak
    python -m recsys_pipeline_tests.soak --days 14 --seed 0 --out data/soak.json

A clock that is only a number is moved hour by hour over the tiny marketplace. What `speed_hourly` and `batch_daily` ask
for at each hour is run through the real definitions. By a plan drawn from the seed, runs are killed by SIGKILL, the
disk fills, bytes of stored files flip, two runs meet in one hour, the clock jumps back, the source and the daemon go
away, rows come late, and a bot spoils a day. What is stored must be whole and the champion must open after every kill
and every six hours. At the end every event must be there exactly once, and computing the last hour again
must change nothing.

Prints a line per day, tables, and JSON with `--out`; exit code 1 where anything was lost. About 14 minutes on 2 cores.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 1, 8, tzinfo=UTC)
"""A week after the marketplace opens, so that the first batch has a history."""
ENVIRONMENT = {
    "RECSYS_SOURCE": "simulator", "RECSYS_SIZE": "tiny", "RECSYS_START_DATE": "2026-01-01", "WANDB_MODE": "disabled",
    "RECSYS_HOURLY_DAYS": "0",
}  # fmt: skip


def main() -> int:
    """Soak, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)  # before anything of ours is imported: partitions are made at import
    with tempfile.TemporaryDirectory() as folder:
        summary = soak(Path(folder), options.days, options.seed)
    show(summary)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(summary, indent=1) + "\n")
    return 1 if summary["losses"] or summary["broken"] else 0


def soak(home: Path, days: int, seed: int) -> dict[str, Any]:
    """Run the days and look at what is left."""
    from recsys_pipeline_tests.deployment import Deployment
    from recsys_pipeline_tests.soak.life import Life
    from recsys_pipeline_tests.soak.operator import Operator, Under
    from recsys_pipeline_tests.soak.plan import plan_faults
    from recsys_pipeline_tests.soak.weather import Sky

    sky = Sky(home / "sky.json")
    deployment = Deployment(home, tuple(ENVIRONMENT.items()), Under(sky.path))
    life = Life(Operator(deployment, random.Random(seed)), sky, plan_faults(START, days, seed))
    begin = time.perf_counter()
    life.first_batch(START)
    for number in range(days * 24):
        life.hour(START + timedelta(hours=number))
        if number % 24 == 23:
            print(
                f"{START + timedelta(hours=number):%F}  {life.line()}  {time.perf_counter() - begin:5.0f} s", flush=True
            )
    end = START + timedelta(days=days)
    life.settle(end)
    return {**life.summary(end), "days": days, "seed": seed, "seconds": round(time.perf_counter() - begin)}


def show(summary: dict[str, Any]) -> None:
    """Tables for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=110)
    faults = Table("fault", "struck", "what came of it", title="Faults", title_justify="left")
    for name, row in summary["faults"].items():
        faults.add_row(name, str(row["struck"]), row["outcome"])
    console.print(faults)
    figures = Table("", "", title="Soak", title_justify="left", show_header=False)
    for name in ("days", "hours_run", "batches_run", "promoted", "champion", "rows", "losses", "broken", "seconds"):
        figures.add_row(name.replace("_", " "), str(summary[name]))
    console.print(figures)
    for text in summary["problems"]:
        console.print(f"[red]{text}[/red]", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
