"""When what goes wrong: drawn from a seed, so that a soak can be run again."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Plan:
    """Faults by the hour at which they strike; each hour has one at most."""

    kill_speed: frozenset[datetime]
    kill_batch: frozenset[datetime]
    disk_full: frozenset[datetime]
    corrupt: frozenset[datetime]
    twice: frozenset[datetime]
    clock_jump: frozenset[datetime]
    outage: frozenset[datetime]
    """Hours in which the source does not answer."""
    stopped: frozenset[datetime]
    """Hours in which the daemon stands still."""
    bot_day: str
    """The day that a bot spoils; empty for none."""

    def counts(self) -> dict[str, int]:
        """How many of each are planned."""
        names = ("kill_speed", "kill_batch", "disk_full", "corrupt", "twice", "clock_jump", "outage", "stopped")
        return {name: len(getattr(self, name)) for name in names} | {"bot_day": int(bool(self.bot_day))}


def plan_faults(start: datetime, days: int, seed: int) -> Plan:
    """Faults of a soak that begins at a midnight; the first day and the last hours are left in peace.

    A day of standing still, two outages of three hours and the bot's day are apart from each other; a soak of less than
    seven days has not all of them.
    """
    rng = random.Random(seed)
    spoilt = rng.sample(range(2, days - 1), min(4, days - 3))
    stopped = {start + timedelta(days=day, hours=5 + hour) for day in spoilt[:1] for hour in range(24)}
    outage = {start + timedelta(days=day, hours=10 + hour) for day in spoilt[1:3] for hour in range(3)}
    bot_day = f"{start + timedelta(days=spoilt[3]):%F}" if len(spoilt) > 3 else ""
    hours = [start + number * HOUR for number in range(24, days * 24 - 6)]
    free = [hour for hour in hours if hour not in stopped | outage and hour.hour not in (3, 4)]
    drawn = iter(rng.sample(free, min(len(free), 10 + 3 + 3 + 3 + 2)))
    nights = [start + timedelta(days=day, hours=3) for day in range(1, days) if day not in spoilt[:1]]

    def take(count: int) -> frozenset[datetime]:
        return frozenset(next(drawn) for _ in range(count))

    return Plan(
        kill_speed=take(10), disk_full=take(3), corrupt=take(3), twice=take(3), clock_jump=take(2),
        kill_batch=frozenset(rng.sample(nights, min(3, len(nights)))), outage=frozenset(outage),
        stopped=frozenset(stopped), bot_day=bot_day,
    )  # fmt: skip
