"""The first day of a new user, with the commands that users type, in a folder of its own: what is served at each step.

    python -m recsys_pipeline_tests.e2e.first_day --size demo --out data/first-day.json

Prints a table and ends with 1 where a step did not come out as it should. `--size demo` takes 17 minutes on two cores,
nine of them for the fifteen batches of the backfill; `tiny` saves three.
"""

import argparse
import contextlib
import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from recsys_pipeline_tests.deployment import TINY_MODELS

PROJECT = Path(__file__).parents[2]
HISTORY_DAYS = {"tiny": 12, "demo": 28}
ANOTHER_SIZE = {"tiny": 3, "demo": 8}
"""An embedding size that nobody would serve."""
STARTS_IN_S, ENDS_IN_S = 120.0, 60.0
RUN_S = 1800.0
LAUNCH = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }
"""
STATUS = "query($id: ID!) { runOrError(runId: $id) { __typename ... on Run { status } } }"


@dataclass(frozen=True)
class Step:
    """What a step came to."""

    name: str
    seconds: float
    found: str
    holds: bool


@dataclass
class Clone:
    """A folder as a fresh clone is, but for the code, which is this one; and its environment."""

    folder: Path
    environment: dict[str, str]
    source: str
    texts: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path, source: str, **settings: str) -> "Clone":
        folder.mkdir(parents=True)
        for name in ("dagster.yaml", "workspace.yaml", "Makefile", "pyproject.toml"):
            shutil.copy(PROJECT / name, folder / name)
        shutil.copytree(PROJECT / "conf", folder / "conf")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RECSYS_", "DAGSTER_"))}
        environment = {**kept, "PYTHONPATH": str(PROJECT), "WANDB_MODE": "disabled", **settings}
        return cls(folder, environment, source)

    def recsys(self, *arguments: str, expected: int | None = 0, timeout_s: float = RUN_S) -> str:
        """Run a command; raises where it ends with another code than expected (None: any)."""
        command = [sys.executable, "-m", "recsys_pipeline.cli", *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        text = done.stdout + done.stderr
        self.texts.append(f"$ recsys {' '.join(arguments)}\n{text}")
        if expected is not None and done.returncode != expected:
            raise RuntimeError(f"recsys {' '.join(arguments)}: {done.returncode}, not {expected}\n{text[-3000:]}")
        return text

    def store(self, *parts: str) -> Path:
        """A place in the store of the source."""
        return self.folder.joinpath("data", "store", self.source, *parts)

    def moves(self) -> list[dict[str, Any]]:
        """What was served, in order."""
        path = self.store("serving", "champion.json")
        return json.loads(path.read_text())["moves"] if path.exists() else []

    def served(self) -> tuple[str, str]:
        """Day and digest of what is served."""
        moves = [move for move in self.moves() if move["action"] in ("promote", "rollback")]
        return (moves[-1]["day"], moves[-1]["digest"][:12]) if moves else ("", "")

    def manifest(self, key: str, partition: str) -> dict[str, Any]:
        """The manifest of the current version of an artifact."""
        folder = self.store(*key.split("/"), partition)
        version = (folder / "current").read_text().strip()
        return json.loads((folder / version / "manifest.json").read_text())


def main() -> int:
    """Run every step and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(HISTORY_DAYS), default="tiny")
    parser.add_argument("--out", type=Path)
    parsed = parser.parse_args()
    console, work = Console(width=160), Path(tempfile.mkdtemp(prefix="first-day-"))
    try:
        steps = list(_shown(console, all_steps(parsed.size, work)))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    table = Table(title=f"The first day, size {parsed.size}", title_justify="left")
    for heading in ("step", "seconds", "what came out", "as it should"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left", overflow="fold")
    for step in steps:
        table.add_row(step.name, f"{step.seconds:.0f}", step.found, "yes" if step.holds else "NO")
    console.print(table)
    if parsed.out:
        parsed.out.write_text(json.dumps([vars(step) for step in steps], indent=1) + "\n")
    return 0 if all(step.holds for step in steps) else 1


def _shown(console: Console, steps: Iterator[Step]) -> Iterator[Step]:
    for step in steps:
        console.print(
            f"{step.seconds:6.0f} s  {'ok' if step.holds else 'NO'}  {step.name}: {step.found}", soft_wrap=True
        )
        yield step


def timed(name: str, step: Callable[[], tuple[str, bool]]) -> Step:
    """Run a step; an error is what came out."""
    started = time.monotonic()
    try:
        found, holds = step()
    except (RuntimeError, OSError, KeyError, ValueError, subprocess.TimeoutExpired) as error:
        found, holds = f"{type(error).__name__}: {error}", False
    return Step(name, time.monotonic() - started, found, holds)


def all_steps(size: str, work: Path) -> Iterator[Step]:
    """The steps in the order in which a user takes them."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    first = yesterday - timedelta(days=HISTORY_DAYS[size] - 1)
    shop = Clone.make(
        work / "shop", f"simulator-{size}", RECSYS_SIZE=size, RECSYS_START_DATE=str(first), RECSYS_SOURCE="simulator"
    )
    before, last = str(yesterday - timedelta(days=1)), str(yesterday)
    yield timed("demo (the day before yesterday)", lambda: demo(shop, before))
    yield timed("another setting from the UI", lambda: launched_experiment(shop, before, ANOTHER_SIZE[size]))
    yield timed("compare", lambda: compared(shop, before))
    yield timed("sweep", lambda: swept(shop, before, size))
    yield timed("the next night", lambda: next_night(shop, last))
    yield timed("rollback", lambda: rolled_back(shop, before))
    yield timed("backfill out of order", lambda: out_of_order(work))
    yield timed("another source", lambda: switched(shop, work))
    yield timed("an hour of an archive", lambda: archive_hour(work))


# -- steps -------------------------------------------------------------------------------------------------------------


def demo(shop: Clone, day: str) -> tuple[str, bool]:
    """A first batch is promoted."""
    shop.recsys("run", "batch_daily", day)
    return f"{shop.served()[0]} is served", shop.served()[0] == day


def launched_experiment(shop: Clone, day: str, embedding_size: int) -> tuple[str, bool]:
    """A run with another setting, launched as the Launchpad does, is judged and not served."""
    served = shop.served()
    fields = {"embedding_size": embedding_size, "use_sweep": False}
    config = {"ops": {"models__als": {"config": fields}}}
    with user_interface(shop) as address:
        status = launch(address, "batch_daily", day, config)
    fitted = shop.manifest("models/als", day)["recipe"]["config"]["embedding_size"]
    outcome = f"run {status}, fitted with embedding_size {fitted}, {shop.served()[0]} {shop.served()[1]} is served"
    return outcome, status == "SUCCESS" and fitted == embedding_size and shop.served() == served


def compared(shop: Clone, day: str) -> tuple[str, bool]:
    """The experiment beside the day's own release."""
    text = " ".join(shop.recsys("compare", day).split())
    return text[:300], "embedding_size" in text


def swept(shop: Clone, day: str, size: str) -> tuple[str, bool]:
    """A sweep has the settings in use as its first trial, and says whether it found better ones."""
    count = {"tiny": "12", "demo": "24"}[size]
    shop.recsys("sweep", "run", "conf/sweeps/als_ndcg.yaml", "--day", day, "--count", count)
    metrics = shop.manifest("learning/als_sweep", day)["metrics"]
    told = {name: value for name, value in metrics.items() if not isinstance(value, dict | list)}
    return json.dumps(told)[:400], "best_config" in metrics


def next_night(shop: Clone, day: str) -> tuple[str, bool]:
    """The next batch takes the sweep's winner and is promoted."""
    shop.recsys("run", "batch_daily", day)
    decision = shop.manifest("serving/decision", day)["metrics"]
    told = {
        name: decision[name] for name in ("promoted", "champion", "against_champion", "p_value") if name in decision
    }
    return f"{json.dumps(told)}, {shop.served()[0]} is served", shop.served()[0] == day


def rolled_back(shop: Clone, day: str) -> tuple[str, bool]:
    """One command serves what was served before, and the list says so."""
    shop.recsys("release", "rollback", "--why", "the first day's exercise")
    told = " ".join(shop.recsys("release", "list").split())
    return f"{shop.served()[0]} is served; list: {told[:300]}", shop.served()[0] == day


def out_of_order(work: Path) -> tuple[str, bool]:
    """Five days as they came, and the same in another order: equal digests once the later ones ran again."""
    first = date(2026, 1, 1)
    days = [str(first + timedelta(days=n)) for n in range(3, 8)]
    settings = {"RECSYS_SIZE": "tiny", "RECSYS_START_DATE": str(first), "RECSYS_SOURCE": "simulator"}
    orderly, mixed = (Clone.make(work / name, "simulator-tiny", **settings) for name in ("orderly", "mixed"))
    for shop, order in ((orderly, days), (mixed, [days[at] for at in (4, 2, 0, 1, 3)] + days)):
        (shop.folder / "conf" / "settings.yaml").write_text(json.dumps(small_models()))
        for day in order:
            shop.recsys("run", "batch_daily", day, expected=None)  # the gate may reject a day, in both alike
    keys = ("models/als", "models/stl", "serving/release", "serving/decision")
    different = [
        f"{key}@{day}"
        for day in days
        for key in keys
        if orderly.manifest(key, day)["digest"] != mixed.manifest(key, day)["digest"]
    ]
    n, promoted = len(days) * len(keys), [move["day"] for move in orderly.moves()]
    same = f"{n - len(different)} of {n} digests are equal; {len(promoted)} of 5 days promoted in order"
    return same + (f"; others: {', '.join(different)}" if different else ""), not different and len(promoted) > 2


def switched(shop: Clone, work: Path) -> tuple[str, bool]:
    """Another source in the same folder has a history of its own."""
    config = write_archive(work / "files", years=0)
    other = Clone(shop.folder, {**shop.environment, **of_files(config)}, "archive")
    before = " ".join(other.recsys("status", expected=None).split())
    other.recsys("run", "batch_daily", "2014-03-05")
    after = " ".join(other.recsys("status", expected=None).split())
    foreign = [text for text in (before, after) if shop.served()[0] in text]
    return f"served there: {other.served()[0]}; status: {after[:300]}", not foreign and other.served()[
        0
    ] == "2014-03-05"


def archive_hour(work: Path) -> tuple[str, bool]:
    """The last hour of a source that ends years after the champion writes no more hours than two days have."""
    archive = Clone.make(work / "old", "archive", **of_files(write_archive(work / "years", years=2)))
    archive.environment["RECSYS_HOURLY_DAYS"] = "0"
    archive.recsys("run", "batch_daily", "2014-03-05")
    text = archive.recsys("run", "speed_hourly", "2016-03-07-12:00", expected=None)
    folder = archive.store("speed", "interactions")
    n_hours = len(list(folder.iterdir())) if folder.is_dir() else 0
    return f"{n_hours} hours written; {' '.join(text.split())[-300:]}", n_hours <= 48


# -- what steps use ----------------------------------------------------------------------------------------------------


def small_models() -> dict[str, Any]:
    """Models that take seconds, as `conf/settings.yaml` has them: settings of a deployment."""
    ops: dict[str, Any] = {}
    for name, value in TINY_MODELS.items():
        key, field_name = name.rsplit(".", 1)
        ops.setdefault(key.replace("/", "__"), {"config": {}})["config"][field_name] = value
    return {"ops": ops}


def write_archive(folder: Path, years: int) -> Path:
    """A small shop's log as files: a week in March 2014, and one event some years later."""
    folder.mkdir(parents=True)
    with (folder / "events.csv").open("w") as file:
        out = csv.writer(file)
        out.writerow(["user", "item", "at"])
        for day in range(1, 8):
            for user in range(60):
                for n in range(3):
                    item = (user * 7 + day * 3 + n * n * 5 + (user % 4) * 11) % 40
                    out.writerow([f"u{user}", f"i{item}", f"2014-03-0{day}T{(user + n) % 24:02d}:{n * 9:02d}:00Z"])
        for year in range(1, years + 1):
            for user in range(60):
                out.writerow([f"u{user}", f"i{user % 40}", f"{2014 + year}-03-07T{user % 24:02d}:00:00Z"])
    (folder / "archive.toml").write_text(
        'name = "archive"\nroot = "."\n[interactions]\npath = "events.csv"\nheader = true\ntime_unit = "iso"\n'
        'event = "click"\nmax_gap_days = 4000\n[interactions.values]\nclick = 1.0\n[interactions.columns]\n'
        'user_id = "user"\nitem_id = "item"\ntimestamp = "at"\n'
    )
    return folder / "archive.toml"


def of_files(config: Path) -> dict[str, str]:
    """The environment that names a source of files."""
    return {"RECSYS_SOURCE": "files", "RECSYS_SOURCE_CONFIG": str(config)}


@contextlib.contextmanager
def user_interface(shop: Clone) -> Iterator[str]:
    """The UI, started as `make ui` starts it; it ends with the block."""
    port, reports = _free_port(), _free_port()
    command = [sys.executable, "-m", "recsys_pipeline.cli", "ui", "--port", str(port)]
    environment = {**shop.environment, "RECSYS_REPORTS_AT": f"127.0.0.1:{reports}"}
    with (shop.folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, cwd=shop.folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(
            lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=2).status == 200, STARTS_IN_S
        )
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(ENDS_IN_S)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def launch(address: str, job: str, day: str, config: dict[str, Any]) -> str:
    """Launch a run as the Launchpad does, and wait for its end."""
    place = {"repositoryLocationName": "recsys_pipeline", "repositoryName": "__repository__", "jobName": job}
    tags = [{"key": "dagster/partition", "value": day}]
    params = {"selector": place, "runConfigData": json.dumps(config), "executionMetadata": {"tags": tags}}
    answer = _ask(address, LAUNCH, {"params": params})["launchRun"]
    if answer["__typename"] != "LaunchRunSuccess":
        raise RuntimeError(f"the UI did not launch {job}: {answer}")
    run, ended = answer["run"]["runId"], {"SUCCESS", "FAILURE", "CANCELED"}
    seen: list[str] = []

    def is_over() -> bool:
        seen.append(_ask(address, STATUS, {"id": run})["runOrError"]["status"])
        return seen[-1] in ended

    _wait(is_over, RUN_S)
    return seen[-1]


def _ask(address: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())["data"]


def _wait(holds: Callable[[], bool], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while True:
        with contextlib.suppress(OSError):
            if holds():
                return
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing after {limit_s:.0f} s")
        time.sleep(1)


if __name__ == "__main__":
    raise SystemExit(main())
