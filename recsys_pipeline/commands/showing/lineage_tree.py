"""What `recsys lineage` prints and writes: a tree, JSON or a page of what an artifact was made from and went into."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from recsys_pipeline.adapters.lineage.graph import reached, read_graph
from recsys_pipeline.adapters.lineage.makings import Making, Makings
from recsys_pipeline.adapters.store.manifest import Manifest, to_json
from recsys_pipeline.commands.showing.lineage_runs import counted, in_runs, span
from recsys_pipeline.core.keys import ArtifactRef
from recsys_pipeline.defs.resources import StoreResource

HEADLINES = ("best_", "value", "recall", "validation_accuracy", "stl_accuracy", "breaches", "rows", "pairs",
             "train_rows", "train_pairs", "items", "products")  # fmt: skip
"""Which metric stands for an artifact: the first of these, as the start of a name, that the manifest has."""


class Direction(NamedTuple):
    """One way to walk: its words, a step on view, and everything that lies that way."""

    words: str
    step: Callable[[Making], tuple[Making, ...]]
    reach: Callable[[Making], tuple[Making, ...]]


DEPTH = 30
"""Levels of the tree; what lies deeper is counted."""


@dataclass(frozen=True)
class View:
    """The part of the graph around one artifact: artifacts of other days are on it, but not what lies behind them.

    Almost everything is made from the day before, so that without this rule any artifact would bring the whole
    history along; `history` asks for that.
    """

    makings: Makings
    asked: Making
    up: bool = True
    down: bool = True
    history: bool = False

    def inputs(self, making: Making) -> tuple[Making, ...]:
        """What to show as its inputs."""
        return self.makings.inputs(making) if self.is_followed(making) else ()

    def outputs(self, making: Making) -> tuple[Making, ...]:
        """What to show as made from it."""
        return self._made_from(making) if self.is_followed(making) else ()

    def _made_from(self, making: Making) -> tuple[Making, ...]:
        """What was made from a version; from the one that was asked for, also what read the same content elsewhere."""
        same = self.makings.same_content(making) if making == self.asked else []
        return tuple(dict.fromkeys(output for one in (making, *same) for output in self.makings.outputs(one)))

    def is_followed(self, making: Making) -> bool:
        """Whether what lies behind an artifact is on view too."""
        return self.history or making.ref.partition == self.asked.ref.partition

    def upstream(self, making: Making) -> tuple[Making, ...]:
        """Everything that a version was made from, on view or not."""
        return self.makings.upstream(making)

    def downstream(self, making: Making) -> tuple[Making, ...]:
        """Everything that was made from a version, on view or not."""
        return reached(making, self._made_from)

    @property
    def directions(self) -> list[Direction]:
        """The directions that were asked for."""
        up = Direction("made from", self.inputs, self.upstream)
        down = Direction("went into", self.outputs, self.downstream)
        return [up] * self.up + [down] * self.down

    def shown(self) -> list[Making]:
        """Everything on view, inputs before outputs."""
        found = {self.asked, *(making for way in self.directions for making in reached(self.asked, way.step))}
        place = {ref: at for at, ref in enumerate(self.makings.graph.in_order())}
        return sorted(found, key=lambda making: (place[making.ref], making.name))

    def edges(self, shown: Sequence[Making]) -> list[tuple[Making, Making]]:
        """(input, output) of those on view."""
        there = set(shown)
        return [(making, output) for making in shown for output in self._made_from(making) if output in there]


def open_view(name: str, up: bool, down: bool, history: bool) -> View:
    """The lineage of the artifact that `name` means, both ways where neither is asked for."""
    makings = Makings(read_graph(StoreResource().open()))
    return View(makings, makings.shown(makings.graph.find(name)), up or not down, down or not up, history)


def print_lineage(console: Console, view: View) -> None:
    """The tree, and below it what could not be read."""
    console.print(lineage_tree(view), soft_wrap=True)
    for problem in view.makings.graph.unreadable:
        console.print(f"[yellow]left out[/yellow]: {escape(problem)}", soft_wrap=True)


def lineage_tree(view: View) -> Tree:
    """Each artifact once in full, with what lies behind it; later mentions are short, runs of days one line."""
    tree = Tree(_line(view, view.asked))
    told = {view.asked}
    for direction in view.directions:
        branch = tree.add(f"[dim]{direction.words}[/dim]" + ("" if direction.step(view.asked) else " nothing"))
        _grow(branch, view, direction, view.asked, told, 0)
    return tree


def _grow(branch: Tree, view: View, direction: Direction, at: Making, told: set[Making], depth: int) -> None:
    others = direction.step(at)
    known, fresh = [one for one in others if one in told], [one for one in others if one not in told]
    for run in in_runs(fresh, lambda one: bool(direction.step(one)) and one.ref.partition):  # leaves of one key
        known += [one for one in run if one in told]  # a sibling has told it meanwhile
        run = [one for one in run if one not in told]
        told |= set(run)
        if not run:
            continue
        if len(run) > 1:
            branch.add(_run_line(view, run, direction))
        elif depth < DEPTH and view.is_followed(run[0]):
            _grow(branch.add(_line(view, run[0])), view, direction, run[0], told, depth + 1)
        else:
            branch.add(_line(view, run[0]) + _behind(direction, run))
    if known:
        branch.add(f"[dim]{', '.join(map(_short, in_runs(known, lambda _: None)))} (above)[/dim]")


def _short(run: list[Making]) -> str:
    return f"{run[0].ref.key}@{run[0].ref.partition}" if len(run) == 1 else f"{run[0].ref.key}@{span(run)}"


def _behind(direction: Direction, run: list[Making]) -> str:
    behind = {other for making in run for other in direction.reach(making)} - set(run)
    return f"  [dim]… {len(behind):,} behind {'it' if len(run) == 1 else 'them'}[/dim]" if behind else ""


def _run_line(view: View, run: list[Making], direction: Direction) -> str:
    gone = sum(view.makings.version(making) is None for making in run)
    facts = [f"[bold]{run[0].ref.key}[/bold]@{span(run)}", counted(run)]
    return "  ".join([*facts, *[f"[red]{gone:,} gone[/red]"] * bool(gone)]) + _behind(direction, run)


def _line(view: View, making: Making) -> str:
    ref, version = making.ref, view.makings.version(making)
    start = f"[bold]{ref.key}[/bold]@{ref.partition}  {ref.digest[:12]}"
    if version is None:
        return f"{start}  [red]gone[/red]"
    manifest, n_same = version.manifest, len(view.makings.same_content(making))
    facts = [start, made_when(manifest), f"{manifest.seconds:.1f} s", escape(headline(manifest))]
    same = f"[dim]same content as {n_same} other version{'s' * (n_same > 1)}[/dim]"
    marks = ["[yellow]older[/yellow]"] * (not version.is_current) + [same] * bool(n_same)
    return "  ".join([fact for fact in facts if fact] + marks)


def made_when(manifest: Manifest) -> str:
    """Day and minute, UTC."""
    return manifest.created_at[:16].replace("T", " ")


def headline(manifest: Manifest) -> str:
    """The one figure that says most of an artifact; empty where it has no metrics."""
    metrics = {name: value for name, value in manifest.metrics.items() if _is_number(value)}
    best = str(manifest.metrics.get("best", ""))
    if best and "value" in metrics:
        return f"{best} {manifest.metrics.get('metric', '')} {figure(metrics['value'])}"
    wanted = [f"{best}_"] * bool(best) + list(HEADLINES) + [""]
    found = next((name for start in wanted for name in metrics if name.startswith(start)), None)
    return f"{found} {figure(metrics[found])}" if found else ""


def figure(value: float | int) -> str:
    """A number as people read it: counts whole, others to four digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def lineage_json(view: View) -> str:
    """The artifacts on view with their versions, and the edges between them, as JSON."""
    shown = view.shown()
    document = {
        "asked": asdict(view.asked.ref),
        "artifacts": [_record(view, ref, shown) for ref in dict.fromkeys(making.ref for making in shown)],
        "edges": [{"input": _named(one), "output": _named(other)} for one, other in view.edges(shown)],
        "unreadable": view.makings.graph.unreadable,
    }
    return to_json(_without_nan(document), indent=2)


def _named(making: Making) -> dict[str, str]:
    return {**asdict(making.ref), "version": making.name}


def _record(view: View, ref: ArtifactRef, shown: list[Making]) -> dict[str, Any]:
    node = view.makings.graph.nodes[ref]
    versions = [
        {
            "version": version.name,
            "current": version.is_current,
            "on_view": Making(ref, version.name) in shown,
            "created_at": version.manifest.created_at,
            "seconds": version.manifest.seconds,
            "run_id": version.manifest.run_id,
            "code_version": version.manifest.recipe.code_version,
            "config": version.manifest.recipe.config,
            "metrics": version.manifest.metrics,
        }
        for version in node.versions
    ]
    return {**asdict(ref), "gone": node.is_gone, "versions": versions}


def _without_nan(value: Any) -> Any:
    """NaN and infinity are no JSON."""
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
