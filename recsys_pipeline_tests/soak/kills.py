"""SIGKILL at seeded moments of batch and speed runs: nothing is half-written, and the next run ends as if undisturbed.

    python -m recsys_pipeline_tests.soak.kills --batch 12 --speed 8 --seed 0

Each kill begins from the same deployment, with one day behind it and a champion. A run is killed just before it touches
the store for the n-th time, n drawn evenly over all touches of an undisturbed run. Then everything stored must be whole
and every pointer point somewhere; the job is run again; every digest but that of the day's page, which shows timings,
must equal that of the undisturbed run. Prints a table; exit code 1 where a row is not as it must be. About 6 minutes.
"""

import argparse
import dataclasses
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recsys_pipeline_tests.soak.__main__ import ENVIRONMENT

if TYPE_CHECKING:  # imported for good after the environment is set
    from recsys_pipeline_tests.deployment import Deployment

DAY, NEXT_DAY = "2026-01-05", "2026-01-06"
TIMED = "reports/daily"
"""The page tells how long each step took, so that its bytes differ from run to run."""
TARGETS = {"batch_daily": NEXT_DAY, "speed_hourly": f"{NEXT_DAY}-04:00"}


@dataclass(frozen=True)
class Kill:
    """One kill and what came of it."""

    job: str
    touch: int
    of_touches: int
    died: bool
    """Whether the process died by SIGKILL, as it must."""
    broken: int
    """Pointers or folders that are not whole after the kill and after the next run."""
    completed: bool
    """Whether the next run succeeded."""
    different: int
    """Digests that differ from those of the undisturbed run."""
    seconds: float

    @property
    def is_well(self) -> bool:
        """Whether everything is as it must be."""
        return self.died and not self.broken and self.completed and not self.different


def main() -> int:
    """Kill, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--speed", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)  # before anything of ours is imported: partitions are made at import
    with tempfile.TemporaryDirectory() as folder:
        counts = {"batch_daily": options.batch, "speed_hourly": options.speed}
        kills = []
        for kill in kill_all(Path(folder), counts, options.seed):
            kills.append(kill)
            told = "well" if kill.is_well else kill
            print(f"{kill.job:<13} touch {kill.touch:4d} of {kill.of_touches}  {told}", flush=True)
    show(kills)
    return 0 if all(kill.is_well for kill in kills) else 1


def kill_all(folder: Path, counts: dict[str, int], seed: int) -> Iterator[Kill]:
    """Each kill in a copy of one deployment."""
    from recsys_pipeline_tests.deployment import Deployment
    from recsys_pipeline_tests.processes import exit_code
    from recsys_pipeline_tests.soak.operator import Operator, count_touches, fair, run_job

    rng, environment = random.Random(seed), tuple(ENVIRONMENT.items())
    base = Deployment(folder / "base", environment, fair)
    assert not (reason := run_job(base, "batch_daily", DAY)), reason
    for job, count in counts.items():
        partition = TARGETS[job]
        calm = _copy(base, folder / f"calm-{job}")
        assert exit_code(count_touches, calm, job, partition, folder / "count", timeout_s=600) == 0
        touches, expected = int((folder / "count").read_text()), _digests(calm)
        for number in range(count):
            begin = time.perf_counter()
            killed = Operator(_copy(base, folder / f"{job}-{number}"), rng)
            touch = rng.randrange(touches * number // count + 1, touches * (number + 1) // count + 1)
            died = killed.killed(job, partition, touch)
            broken = killed.check()
            reason = run_job(killed.deployment, job, partition)
            broken += killed.check()
            found = _digests(killed.deployment)
            different = sum(found.get(key) != digest for key, digest in expected.items()) + len(found.keys() - expected)
            seconds = time.perf_counter() - begin
            yield Kill(job, touch, touches, died, len(broken), not reason, different, seconds)
            shutil.rmtree(killed.deployment.home)


def show(kills: list[Kill]) -> None:
    """A table for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table("job", "killed before touch", "of", "died", "half-written", "next run", "digests that differ", "s")
    for kill in kills:
        table.add_row(
            kill.job, str(kill.touch), str(kill.of_touches), "yes" if kill.died else "no", str(kill.broken),
            "completed" if kill.completed else "failed", str(kill.different), f"{kill.seconds:.1f}",
        )  # fmt: skip
    Console(width=110).print(table)


def _copy(deployment: "Deployment", home: Path) -> "Deployment":
    shutil.copytree(deployment.home, home)
    return dataclasses.replace(deployment, home=home)


def _digests(deployment: "Deployment") -> dict[tuple[str, str], str]:
    return {name: one.manifest.digest for name, one in deployment.everything().items() if name[0] != TIMED}


if __name__ == "__main__":
    sys.exit(main())
