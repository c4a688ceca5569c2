"""`recsys release list`, `show`, `diff`, `promote` and `rollback`."""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_pipeline.adapters.serving.releases import RELEASE, Move, Standing, decision_of, history, released
from recsys_pipeline.adapters.serving.served_spans import Span, in_words, served_spans
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.serving.gate import Decision
from recsys_pipeline.defs.experiments import is_experiment, settings_behind
from recsys_pipeline.defs.releasing import moved, named_day, served_already, told
from recsys_pipeline.defs.resources import StoreResource, TrackerResource

SAMPLED_USERS = 500
"""Users whose lists `release diff` counts."""


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Print what is asked for, or move what is served."""
    if parsed.what == "list":
        return print_releases(console)
    if parsed.what == "show":
        return print_release(console, parsed.day)
    if parsed.what == "diff":
        return print_difference(console, *parsed.days)
    day, force = (parsed.day, parsed.force) if parsed.what == "promote" else (parsed.to, False)
    return _moved(console, parsed.what, day, parsed.why, force)


def _moved(console: Console, action: str, day: str | None, why: str, force: bool) -> int:
    move = moved(StoreResource().open(), TrackerResource().open(), action, day or "", why, force)
    console.print(escape(told(move) if move else served_already(day or "")), soft_wrap=True)
    return 0


# -- list -----------------------------------------------------------------------------------------------------------


def print_releases(console: Console) -> int:
    """`recsys release list`: a line per day, newest first, and below it the moves that people made.

    What is damaged is said on its line, and leaves the others as they are; the exit code is then 1.
    """
    store, problems = StoreResource().open(), []
    try:
        moves = history(store)
    except ArtifactError as error:
        moves, problems = [], [str(error)]
    lines = _lines(store, moves)
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("", "day", "digest", "gate", "served", "NDCG@10", "interval", "why"):
        table.add_column(name, no_wrap=name in ("day", "digest", "gate"))
    for line in lines:
        table.add_row(*line.cells)
    console.print(table)
    if not lines:
        console.print("no release yet: `recsys run batch_daily` makes the first")
    for problem in [*problems, *(line.problem for line in lines if line.problem)]:
        console.print(f"[red]damaged[/red] {escape(problem)}", soft_wrap=True)
    for move in moves:
        if move.by_hand:
            console.print(f"{move.at[:16].replace('T', ' ')}  {escape(told(move))}", soft_wrap=True)
    return 1 if problems or any(line.problem for line in lines) else 0


@dataclass(frozen=True)
class Line:
    """A release as it is listed."""

    cells: list[str]
    problem: str = ""


def _lines(store: ArtifactStore, moves: Sequence[Move]) -> list[Line]:
    """The current release of every day, newest first; and the one that is served, where it is another of its day."""
    places = [(day, store.current_version(RELEASE, day) or "") for day in store.partitions(RELEASE)]
    standing, spans = Standing.of(list(moves)), served_spans(moves)
    served = standing.current
    if served and (served.day, served.version) not in places:
        places.append((served.day, served.version))
    return [
        _line(store, day, version, standing, spans.get((day, version), ()))
        for day, version in sorted(places, reverse=True)
    ]


def _line(store: ArtifactStore, day: str, version: str, standing: Standing, spans: Sequence[Span]) -> Line:
    is_served = standing.current is not None and (standing.current.day, standing.current.version) == (day, version)
    start = ["champion" if is_served else "", day]
    try:
        release = released(store, standing.current) if is_served and standing.current else _release(store, day, version)
        digest = release.manifest.digest
    except ArtifactError as error:
        state = "damaged" if store.fs.exists(f"{store.root}/{RELEASE}/{day}/{version}") else "gone"
        return Line([*start, "–", state, in_words(spans), "–", "–", ""], str(error))
    start.append(digest[:12])
    try:
        decided = decision_of(store, day, digest)
        made = Decision.load(decided.path) if decided else None
    except ArtifactError as error:
        return Line([*start, "damaged", in_words(spans), "–", "–", ""], str(error))
    odd = is_experiment(store, decided or release)
    if made is None:
        return Line([*start, "undecided", in_words(spans), "–", "–", "experiment" if odd else ""])
    figures = made.figures
    notes = ["experiment" if odd else "", "withdrawn by hand" if digest in standing.withdrawn else made.why_not]
    interval = f"[{_figure(figures.ndcg_low)}, {_figure(figures.ndcg_high)}]"
    verdict = "passed" if made.promoted else "rejected"
    why = "; ".join(note for note in notes if note)
    return Line([*start, verdict, in_words(spans), _figure(figures.ndcg), escape(interval), escape(why)])


def _release(store: ArtifactStore, day: str, version: str) -> Artifact:
    """The current release of a day, or another that is served; a pointer to what is gone names itself."""
    is_current = store.current_version(RELEASE, day) == version
    return store.get(RELEASE, day) if is_current else store.version(RELEASE, day, version)


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


# -- show -----------------------------------------------------------------------------------------------------------


def print_release(console: Console, day: str) -> int:
    """`recsys release show`: the gate's checks, figures, files and moves of a day's release."""
    store = StoreResource().open()
    artifact = store.get(RELEASE, named_day(day))
    ref = artifact.manifest.ref
    console.print(f"[bold]{RELEASE}@{day}[/bold]  {ref.digest}", soft_wrap=True)
    found = decision_of(store, day, ref.digest)
    if found is None:
        console.print("the gate has not decided on it")
    else:
        _print_checks(console, Decision.load(found.path))
    _print_pairs(console, {**_facts(artifact), **_settings(store, artifact)})
    for move in history(store):
        if move.day == day:
            console.print(f"{move.at[:16].replace('T', ' ')}  {escape(told(move))}", soft_wrap=True)
    return 0


def _print_checks(console: Console, made: Decision) -> None:
    against = f"against {made.champion}" if made.champion else "as a first release"
    console.print(f"gate: {'passed' if made.promoted else 'rejected'}, {against}")
    for check in made.checks:
        mark = "[green]✓[/green]" if check.passed else "[red]✗[/red]"
        console.print(f"  {mark} {check.name.replace('_', ' ')}: {escape(check.words)}", soft_wrap=True)
    for warning in made.warnings:
        console.print(f"  [yellow]![/yellow] {escape(warning)}", soft_wrap=True)


def _facts(artifact: Artifact) -> dict[str, Any]:
    manifest = artifact.manifest
    sizes: dict[str, int] = {}
    for name, entry in manifest.files.items():
        part = name.split("/")[0]
        sizes[part] = sizes.get(part, 0) + entry["bytes"]
    return {
        **manifest.metrics,
        **{f"bytes of {part}": size for part, size in sorted(sizes.items())},
        "bytes": sum(sizes.values()),
        "code version": manifest.recipe.code_version,
    }


def _settings(store: ArtifactStore, artifact: Artifact) -> dict[str, str]:
    """What it was made with, and whence; the digest of the file of settings beside it."""
    found = settings_behind(store, artifact.manifest)
    return {
        **{name: setting.told() for name, setting in found.items()},
        "settings file": artifact.manifest.settings_digest[:12] or "none",
    }


def _print_pairs(console: Console, facts: Mapping[str, Any]) -> None:
    table = Table(box=None, padding=(0, 2), pad_edge=False, show_header=False)
    for name, value in facts.items():
        table.add_row(escape(_label(name)), _plain(value))
    console.print(table)


def _label(name: str) -> str:
    """A figure's name in words; that of a setting as people type it."""
    return name if "." in name else name.replace("_", " ")


def _plain(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else escape(str(value))


# -- diff -----------------------------------------------------------------------------------------------------------


def print_difference(console: Console, one: str, other: str) -> int:
    """`recsys release diff`: what differs between the releases of two days."""
    store = StoreResource().open()
    first, second = (store.get(RELEASE, named_day(day)) for day in (one, other))
    sides = [
        {**_facts(artifact), **_decided_facts(store, artifact), **_settings(store, artifact)}
        for artifact in (first, second)
    ]
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("", one, other):
        table.add_column(name)
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        values = [side.get(name, "–") for side in sides]
        if values[0] != values[1]:
            table.add_row(escape(_label(name)), *map(_plain, values))
    console.print(table if table.rows else "the same in settings, figures and sizes")
    console.print(escape(_changed_lists(first, second)), soft_wrap=True)
    return 0


def _decided_facts(store: ArtifactStore, artifact: Artifact) -> dict[str, Any]:
    found = decision_of(store, artifact.manifest.recipe.partition, artifact.manifest.digest)
    if found is None:
        return {"gate": "undecided"}
    made = Decision.load(found.path)
    return {"gate": "passed" if made.promoted else "rejected", "NDCG@10": _figure(made.figures.ndcg),
            "coverage": _figure(made.figures.coverage)}  # fmt: skip


def _changed_lists(first: Artifact, second: Artifact) -> str:
    """How many of the lists of users whom both know changed, and by how many places."""
    from recsys_pipeline.core.serving.changed_lists import changed_lists
    from recsys_pipeline.core.serving.release import Release  # brings JAX along, which takes seconds

    found = changed_lists(Release.load(first.path), Release.load(second.path), SAMPLED_USERS, seed=0)
    if not found.users:
        return "no user is in both: there are no lists to compare"
    return (
        f"lists: {found.changed:.1%} of {found.users} sampled users see another list, {found.new_items:.1%} of the "
        "items in it are new to it"
    )
