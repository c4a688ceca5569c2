"""Which runs of a sweep end early: W&B's Hyperband, the one rule that `early_terminate` knows."""

from collections.abc import Mapping, Sequence
from typing import Any

BRACKETS = 100


def brackets(rule: Mapping[str, Any]) -> list[int]:
    """The numbers of logged values after which a run is judged.

    From below: `min_iter`, then each `eta` times the last. From above: `max_iter` divided by `eta`, `s` times.
    """
    eta = rule.get("eta", 3)
    if "min_iter" in rule:
        return [int(rule["min_iter"] * eta**step) for step in range(BRACKETS)]
    found = [int(rule["max_iter"] / eta**step) for step in range(1, rule.get("s", 1) + 1)]
    return sorted(size for size in found if size >= 1)


def is_beaten(own: Sequence[float], others: Sequence[Sequence[float]], config: Mapping[str, Any]) -> bool:
    """Whether a run is outside the best 1/eta of all runs at the last bracket that it has reached.

    `own` are the values of the sweep's metric that the run has logged, `others` those of every other run.
    """
    rule = config.get("early_terminate")
    if not rule:
        return False
    reached = [size for size in brackets(rule) if size <= len(own)]
    if not reached:
        return False
    size = reached[-1]
    sign = -1 if config["metric"].get("goal") == "maximize" else 1
    best = min(sign * value for value in own[:size])
    field = sorted([best, *(min(sign * value for value in run[:size]) for run in others if len(run) >= size)])
    kept = max(1, int(len(field) / rule.get("eta", 3)))
    return best > field[kept - 1]
