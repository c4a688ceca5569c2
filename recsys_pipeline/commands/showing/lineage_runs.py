"""Runs of days in a lineage: 28 day files that went into one snapshot are one line, and one box."""

from collections.abc import Callable, Hashable, Iterable

from recsys_pipeline.adapters.lineage.makings import Making

MIN_RUN = 3
"""Fewer are shown one by one."""


def in_runs(makings: Iterable[Making], alike: Callable[[Making], Hashable]) -> list[list[Making]]:
    """Versions of one key that are alike, in order of partitions; alone where fewer than `MIN_RUN` are.

    Each run stands where its first member stood.
    """
    runs: dict[Hashable, list[Making]] = {}
    for making in makings:
        runs.setdefault((making.ref.key, alike(making)), []).append(making)
    found = []
    for run in runs.values():
        is_run = len({making.ref.partition for making in run}) >= MIN_RUN
        found += [sorted(run, key=lambda making: making.ref.partition)] if is_run else [[making] for making in run]
    return found


def span(run: list[Making]) -> str:
    """The first and the last partition of a run, as the tree writes it."""
    return f"{run[0].ref.partition}..{run[-1].ref.partition}"


def counted(run: list[Making]) -> str:
    """How many days or hours a run has."""
    n, is_hourly = len({making.ref.partition for making in run}), ":" in run[0].ref.partition
    return f"{n} {'hours' if is_hourly else 'days'}"
