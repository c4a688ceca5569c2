"""Releases in the hands of people: what `recsys release` prints and does, and the job `release_by_hand`."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import dagster as dg
from pydantic import Field
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_pipeline.adapters import releases
from recsys_pipeline.adapters.releases import RELEASE, Move, Standing, decision_of, history
from recsys_pipeline.adapters.store import Artifact, ArtifactStore
from recsys_pipeline.adapters.tracker import Tracker
from recsys_pipeline.core.serving.gate import Decision
from recsys_pipeline.defs.resources import StoreResource, TrackerResource

SAMPLED_USERS = 500
CHAMPION_ALIAS = "champion"


class ByHandConfig(dg.Config):
    """What a person wants served."""

    action: Literal["promote", "rollback"] = Field("rollback", description="Serve a day's release, or go back.")
    day: str = Field("", description="YYYY-MM-DD; empty, to go back: the newest promoted day before the one served.")
    why: str = Field("", description="A reason, which is kept in the history.")
    force: bool = Field(False, description="Promote what the gate rejected; takes a reason.")


@dg.op(description="Move the pointer to what is served.")
def move_champion(
    context: dg.OpExecutionContext, config: ByHandConfig, store: StoreResource, tracker: TrackerResource
) -> None:
    """Verifies the release before anything points to it."""
    opened = store.open()
    if config.action == "promote":
        move = releases.promote(opened, config.day, config.why, config.force)
    else:
        move = releases.rollback(opened, config.day or None, config.why)
    announce(opened, tracker.open(), move)
    context.log.info(told(move))
    context.add_output_metadata({"served": move.day, "why": move.why or "-", "forced": move.forced})


@dg.job(
    executor_def=dg.in_process_executor, description="Promote a release or go back to one, because a person says so."
)
def release_by_hand() -> None:
    """One op, whose form says what to do."""
    move_champion()


def announce(store: ArtifactStore, tracker: Tracker, move: Move) -> None:
    """Let W&B know: a run that used the release, which takes the alias `champion` from the one before."""
    release = releases.released(store, move)
    facts = {"action": move.action, "why": move.why, "by_hand": move.by_hand, "forced": move.forced}
    with tracker.run(f"serving/champion {move.day}", "serving", facts, group=move.day, inputs=[release]) as run:
        run.alias(release, CHAMPION_ALIAS)


def told(move: Move) -> str:
    """A move in words."""
    words = {"promote": "promoted", "rollback": "rolled back to"}[move.action]
    notes = [note for note, holds in (("by hand", move.by_hand), ("against the gate", move.forced)) if holds]
    return (
        f"{words} {move.day}  {move.digest[:12]}"
        + "".join(f"  {note}" for note in notes)
        + (f"  ({move.why})" if move.why else "")
    )


def print_moved(console: Console, what: str, day: str | None, why: str, force: bool) -> int:
    """`recsys release promote` and `rollback`."""
    store = StoreResource().open()
    move = releases.promote(store, day or "", why, force) if what == "promote" else releases.rollback(store, day, why)
    announce(store, TrackerResource().open(), move)
    console.print(escape(told(move)), soft_wrap=True)
    return 0


# -- list -----------------------------------------------------------------------------------------------------------


def print_releases(console: Console) -> int:
    """`recsys release list`: a line per day, newest first, and below it the moves that people made."""
    store = StoreResource().open()
    moves = history(store)
    standing = Standing.of(moves)
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("", "day", "digest", "gate", "NDCG@10", "interval", "why"):
        table.add_column(name)
    for artifact in _listed(store, standing):
        table.add_row(*_line(store, artifact, standing))
    console.print(table)
    if not table.rows:
        console.print("no release yet: `recsys run batch_daily` makes the first")
    for move in moves:
        if move.by_hand:
            console.print(f"{move.at[:16].replace('T', ' ')}  {escape(told(move))}", soft_wrap=True)
    return 0


def _listed(store: ArtifactStore, standing: Standing) -> list[Artifact]:
    """The current release of every day, newest first; and the one that is served, where it is another of its day."""
    found = [store.get(RELEASE, day) for day in reversed(store.partitions(RELEASE))]
    served = standing.current
    if served and not any(_is(artifact, served) for artifact in found):
        found.append(releases.released(store, served))
    return sorted(found, key=lambda artifact: artifact.manifest.recipe.partition, reverse=True)


def _is(artifact: Artifact, move: Move | None) -> bool:
    place = artifact.manifest.recipe.partition, artifact.path.name
    return move is not None and place == (move.day, move.version)


def _line(store: ArtifactStore, artifact: Artifact, standing: Standing) -> list[str]:
    ref = artifact.manifest.ref
    found = decision_of(store, ref.partition, ref.digest)
    mark = "champion" if _is(artifact, standing.current) else ""
    start = [mark, ref.partition, ref.digest[:12]]
    if found is None:
        return [*start, "undecided", "–", "–", ""]
    made = Decision.load(found.path)
    figures = made.figures
    why = "withdrawn by hand" if ref.digest in standing.withdrawn else made.why_not
    interval = f"[{_figure(figures.ndcg_low)}, {_figure(figures.ndcg_high)}]"
    return [*start, "passed" if made.promoted else "rejected", _figure(figures.ndcg), escape(interval), escape(why)]


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


# -- show -----------------------------------------------------------------------------------------------------------


def print_release(console: Console, day: str) -> int:
    """`recsys release show`: the gate's checks, figures, files and moves of a day's release."""
    store = StoreResource().open()
    artifact = store.get(RELEASE, day)
    ref = artifact.manifest.ref
    console.print(f"[bold]{RELEASE}@{day}[/bold]  {ref.digest}", soft_wrap=True)
    found = decision_of(store, day, ref.digest)
    if found is None:
        console.print("the gate has not decided on it")
    else:
        _print_checks(console, Decision.load(found.path))
    _print_pairs(console, _facts(artifact))
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
        **{f"setting {name}": value for name, value in manifest.recipe.config.items()},
        **{f"bytes of {part}": size for part, size in sorted(sizes.items())},
        "bytes": sum(sizes.values()),
        "code version": manifest.recipe.code_version,
    }


def _print_pairs(console: Console, facts: Mapping[str, Any]) -> None:
    table = Table(box=None, padding=(0, 2), pad_edge=False, show_header=False)
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), _plain(value))
    console.print(table)


def _plain(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else escape(str(value))


# -- diff -----------------------------------------------------------------------------------------------------------


def print_difference(console: Console, one: str, other: str) -> int:
    """`recsys release diff`: what differs between the releases of two days."""
    store = StoreResource().open()
    first, second = store.get(RELEASE, one), store.get(RELEASE, other)
    sides = [{**_facts(artifact), **_decided_facts(store, artifact)} for artifact in (first, second)]
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("", one, other):
        table.add_column(name)
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        values = [side.get(name, "–") for side in sides]
        if values[0] != values[1]:
            table.add_row(name.replace("_", " "), *map(_plain, values))
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
