"""The hours of a soak: what strikes, what is run, what is left at the end."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from recsys_pipeline.adapters.serving.releases import champion, history
from recsys_pipeline_tests.deployment import Deployment
from recsys_pipeline_tests.soak.operator import CATCH_UP, Operator, full_disk, run_job
from recsys_pipeline_tests.soak.plan import HOUR, Plan
from recsys_pipeline_tests.soak.weather import Sky

BATCH, SPEED = "batch_daily", "speed_hourly"
OVERLAY = "speed/overlay"
OLD_HOURS = 5
"""An hour so old is settled, and not taken in anew for late rows."""
CHECK_EVERY = 6
"""Hours between two looks at everything stored, beside those after each kill; one falls after the night's batch."""
HOURLY = ("kill_speed", "disk_full", "corrupt", "twice", "clock_jump")
"""Faults that strike a run of the speed layer."""


@dataclass
class Life:
    """One deployment, hour by hour."""

    operator: Operator
    sky: Sky
    plan: Plan
    hours_run: int = 0
    batches_run: int = 0
    missed: list[datetime] = field(default_factory=list)
    """Ticks that nobody saw, because the daemon stood still."""
    struck: Counter[str] = field(default_factory=Counter)
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _done: set[datetime] = field(default_factory=set)
    """Hours whose fault has struck."""

    def first_batch(self, moment: datetime) -> None:
        """The batch that makes the first champion."""
        self.sky.set(now=moment.isoformat())
        day = f"{moment - timedelta(days=1):%F}"
        if not self.operator.run(BATCH, day):
            raise SystemExit(f"the first batch failed: {self.operator.failures}")

    def hour(self, start: datetime) -> None:
        """What happens from a full hour on: the speed layer at :05, in the night the batch at 03:15."""
        self.sky.set(now=(start + timedelta(minutes=5)).isoformat(), down=start in self.plan.outage)
        if start.strftime("%F") == self.plan.bot_day and start.hour == 0:
            self.sky.set(bot_day=self.plan.bot_day)
            self.struck["bot_day"] += 1
        if start in self.plan.stopped:
            self.missed.append(start)
            self.struck["stopped"] += 1
            return
        ticks, self.missed = [*self.missed, start], []
        for tick in ticks[-CATCH_UP:]:
            for partition in self.operator.tick(SPEED, tick + timedelta(minutes=5)):
                self._speed(partition, start)
        # The scheduler catches up with each schedule by itself: a night that was missed is asked for at the next tick.
        for tick in [tick for tick in ticks if tick.hour == 3][-CATCH_UP:]:
            self.sky.set(now=(start + timedelta(minutes=15)).isoformat())
            for partition in self.operator.tick(BATCH, tick + timedelta(minutes=15)):
                self._batch(partition, start)
        if start.hour % CHECK_EVERY == 3:
            self.problems += self.operator.check()

    def settle(self, end: datetime) -> None:
        """Let late rows arrive, and run what is due."""
        for number in range(6):
            self.hour(end + number * HOUR)

    def line(self) -> str:
        """One line of progress."""
        served = champion(self.operator.store)
        day, faults = served.manifest.recipe.partition if served else "none", sum(self.struck.values())
        return f"{self.hours_run:4d} hours  {self.batches_run:2d} batches  {faults:3d} faults  champion {day}"

    def summary(self, end: datetime) -> dict[str, Any]:
        """What is left, against what there should be."""
        losses, rows = self._losses(end)
        moves, served = history(self.operator.store), champion(self.operator.store)
        problems = [*self.problems, *losses, *self._changed_by_recomputation()]
        return {
            "hours_run": self.hours_run, "batches_run": self.batches_run, "promoted": len(moves),
            "champion": served.manifest.recipe.partition if served else "none", "rows": rows,
            "losses": len(losses), "broken": len(problems) - len(losses), "problems": problems,
            "faults": {name: {"struck": count, "outcome": self._told(name)} for name, count in self.struck.items()},
            "failed_runs": self.operator.failures,
        }  # fmt: skip

    # -- runs ---------------------------------------------------------------------------------------------------

    def _speed(self, partition: str, now: datetime) -> None:
        self.hours_run += 1
        fault = next((name for name in HOURLY if now in getattr(self.plan, name)), "")
        fault = "" if now in self._done else fault  # the first run of the hour is struck, not all that are caught up
        if fault:
            self._done.add(now)
            getattr(self, f"_{fault}")(partition, now)
        before = len(self.operator.failures)
        done = self.operator.run(SPEED, partition)
        if now in self.plan.outage:
            self.struck["outage"] += 1
            self._note("outage", "failed, as it must" if not done else "ran without its source")
        elif not done:
            self.problems.append(f"{SPEED} {partition} failed: {self.operator.failures[-1]}")
        elif fault == "corrupt":
            named = any("is missing or corrupt" in reason for reason in self.operator.failures[before:])
            self._note(fault, "named by the run, made again" if named else "not read by the next run")
        elif fault:
            self._note(fault, "next run completed")

    def _batch(self, partition: str, now: datetime) -> None:
        self.batches_run += 1
        if now in self.plan.kill_batch:
            self._kill_batch(partition)
        done = self.operator.run(BATCH, partition)
        if partition == self.plan.bot_day:
            served = champion(self.operator.store)
            stopped = not done and served is not None and served.manifest.recipe.partition < partition
            self._note("bot_day", "the gate stopped it" if stopped else "was promoted")
            if not stopped:
                self.problems.append(f"the bot's day {partition} was promoted")
        elif not done and "serving/decision" in self.operator.failures[-1]:
            self.struck["gate"] += 1
            self._note("gate", f"{partition} was not released, the day before stayed served")
        elif not done:
            self.problems.append(f"{BATCH} {partition} failed: {self.operator.failures[-1]}")

    # -- faults -------------------------------------------------------------------------------------------------

    def _kill_speed(self, partition: str, _: datetime) -> None:
        self._kill(SPEED, partition, "kill_speed", 250)

    def _kill_batch(self, partition: str) -> None:
        self._kill(BATCH, partition, "kill_batch", 1500)

    def _kill(self, job: str, partition: str, name: str, touches: int) -> None:
        died = self.operator.killed(job, partition, self.operator.rng.randrange(5, touches))
        self.struck[name] += 1
        self._note(name, "died in the middle" if died else "was through before the blow")
        self.problems += self.operator.check()

    def _disk_full(self, partition: str, _: datetime) -> None:
        self.struck["disk_full"] += 1
        with full_disk(after_syncs=self.operator.rng.randrange(12)):
            reason = run_job(self.operator.deployment, SPEED, partition)
        self._note("disk_full", "failed, and said so" if "No space left" in reason else reason or "needed no space")
        self.problems += self.operator.check()

    def _corrupt(self, _: str, now: datetime) -> None:
        """Flip a byte of a file of the champion, or of an hour that is too old to be read from the source again."""
        served = champion(self.operator.store)
        assert served is not None
        earlier = self.operator.store.current("speed/interactions", f"{now - OLD_HOURS * HOUR:%F-%H:00}")
        damaged = served if earlier is None or self.operator.rng.random() < 0.5 else earlier
        self.operator.flip_a_byte(damaged.path / self.operator.rng.choice(sorted(damaged.manifest.files)))
        self.struck["corrupt"] += 1

    def _twice(self, partition: str, _: datetime) -> None:
        """The same hour in another process at the same time."""
        self.struck["twice"] += 1
        rival = threading.Thread(target=self.operator.killed, args=(SPEED, partition, 10**9))
        rival.start()
        reason = run_job(self.operator.deployment, SPEED, partition)
        rival.join()
        self._note("twice", reason or "both ended well")

    def _clock_jump(self, _: str, now: datetime) -> None:
        """The clock goes back by two hours and forth again: what was asked for then must not be asked for anew."""
        self.struck["clock_jump"] += 1
        again = self.operator.tick(SPEED, now - 2 * HOUR + timedelta(minutes=5))
        self._note("clock_jump", "nothing was asked for twice" if not again else f"asked again for {again}")
        if again:
            self.problems.append(f"after a clock jump {again} were asked for again")

    def _note(self, name: str, outcome: str) -> None:
        self.outcomes.setdefault(name, Counter())[outcome] += 1

    def _told(self, name: str) -> str:
        return (
            ", ".join(f"{count} × {text}" for text, count in self.outcomes.get(name, Counter()).items()) or "caught up"
        )

    # -- what is left -------------------------------------------------------------------------------------------

    def _losses(self, end: datetime) -> tuple[list[str], int]:
        """Days and hours that hold other events than the source gives in fair weather."""
        lost, rows = [], 0
        ours, home = self.operator.deployment, self.operator.deployment.home
        clean = Deployment(home.with_name(f"{home.name}-clean"), ours.environment, ours.wrap)
        last_day = f"{end - timedelta(days=1):%F}"
        assert clean.materialize("dataset/interactions", "dataset/snapshot", day=last_day).success
        for day in clean.store.partitions("dataset/interactions"):
            there, here = (store.get("dataset/interactions", day).manifest for store in (clean.store, ours.store))
            rows += there.metrics["rows"]
            if there.digest != here.digest:
                lost.append(f"{day} has {here.metrics['rows']} rows, the source {there.metrics['rows']}, or others")
        return lost, rows

    def _changed_by_recomputation(self) -> list[str]:
        """Keys whose digest changes where the last hour is computed again."""
        store = self.operator.store
        hour = store.partitions(OVERLAY)[-1]
        before = {key: store.get(key, hour).manifest.digest for key in ("speed/interactions", OVERLAY)}
        reason = run_job(self.operator.deployment, SPEED, hour, recompute=True)
        after = {key: store.get(key, hour).manifest.digest for key in before}
        changed = [f"{key} of {hour} changed when computed again" for key in before if before[key] != after[key]]
        return [*changed, *([f"recomputing {hour} failed: {reason}"] if reason else [])]
