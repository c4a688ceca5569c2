"""Filters and orders of runs, in the subset of MongoDB's language that `wandb.Api().runs` sends."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Row = dict[str, Any]
COLUMNS = {
    "name": "name", "displayName": "display_name", "display_name": "display_name", "state": "state", "sweep": "sweep",
    "group": "group_name", "jobType": "job_type", "job_type": "job_type", "createdAt": "created",
    "created_at": "created", "heartbeat_at": "heartbeat",
}  # fmt: skip
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda value, wanted: value == wanted,
    "$ne": lambda value, wanted: value != wanted,
    "$gt": lambda value, wanted: value is not None and value > wanted,
    "$gte": lambda value, wanted: value is not None and value >= wanted,
    "$lt": lambda value, wanted: value is not None and value < wanted,
    "$lte": lambda value, wanted: value is not None and value <= wanted,
    "$exists": lambda value, wanted: (value is not None) == wanted,
    "$regex": lambda value, wanted: value is not None and re.search(wanted, value) is not None,
}


def matches(run: Row, wanted: Mapping[str, Any]) -> bool:
    """Whether a run meets a filter.

    Raises:
        KeyError: an operator or a field that this subset lacks.
    """
    return all(_clause(run, key, condition) for key, condition in wanted.items())


def ordered(runs: Iterable[Row], order: str | None) -> list[Row]:
    """Runs by a key such as `+created_at` or `-summary_metrics.loss`; those that lack the key come last."""
    key = (order or "+created_at").split(",")[0].strip()
    name, falling = key.lstrip("+-"), key.startswith("-")
    present = [run for run in runs if value_of(run, name) is not None]
    absent = [run for run in runs if value_of(run, name) is None]
    return sorted(present, key=lambda run: (value_of(run, name), run["id"]), reverse=falling) + absent


def value_of(run: Row, name: str) -> Any:
    """What a dotted name such as `config.reg.value`, `summary_metrics.loss` or `state` means in a run."""
    if name in COLUMNS:
        return run[COLUMNS[name]]
    head, _, rest = name.partition(".")
    if head == "tags":
        return json.loads(run["tags"])
    if head in ("summary_metrics", "summaryMetrics"):
        return json.loads(run["summary"]).get(rest)
    if head == "config":
        entry = json.loads(run["config"]).get(rest.removesuffix(".value"), {})
        return entry.get("value")
    raise KeyError(name)


def _clause(run: Row, key: str, condition: Any) -> bool:
    if key == "$and":
        return all(matches(run, part) for part in condition)
    if key == "$or":
        return any(matches(run, part) for part in condition)
    value = value_of(run, key)
    conditions = condition if isinstance(condition, dict) else {"$eq": condition}
    return all(_meets(value, operator, wanted) for operator, wanted in conditions.items())


def _meets(value: Any, operator: str, wanted: Any) -> bool:
    held = value if isinstance(value, list) else [value]
    if operator in ("$in", "$nin"):
        return any(entry in wanted for entry in held) == (operator == "$in")
    return any(COMPARE[operator](entry, wanted) for entry in held)
