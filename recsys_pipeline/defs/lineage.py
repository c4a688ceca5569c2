"""What `recsys lineage` prints and writes: a tree, JSON or a page of what an artifact was made from and went into."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from recsys_pipeline.adapters.lineage import Edge, LineageGraph, Node, read_graph
from recsys_pipeline.adapters.manifest import Manifest, to_json
from recsys_pipeline.core.types import ArtifactRef
from recsys_pipeline.defs.resources import StoreResource

HEADLINES = ("best_", "value", "recall", "validation_accuracy", "stl_accuracy", "breaches", "rows", "pairs",
             "train_rows", "train_pairs", "items", "products")  # fmt: skip
"""Which metric stands for an artifact: the first of these, as the start of a name, that the manifest has."""


class Direction(NamedTuple):
    """One way to walk: its words, a step on view, and everything that lies that way."""

    words: str
    step: Callable[[ArtifactRef], tuple[ArtifactRef, ...]]
    reach: Callable[[ArtifactRef], tuple[ArtifactRef, ...]]


DEPTH = 30
"""Levels of the tree; what lies deeper is counted."""


@dataclass(frozen=True)
class View:
    """The part of the graph around one artifact: artifacts of other days are on it, but not what lies behind them.

    Almost everything is made from the day before, so that without this rule any artifact would bring the whole
    history along; `history` asks for that.
    """

    graph: LineageGraph
    asked: ArtifactRef
    up: bool = True
    down: bool = True
    history: bool = False

    def inputs(self, ref: ArtifactRef) -> tuple[ArtifactRef, ...]:
        """What to show as its inputs."""
        return self.graph.inputs(ref) if self.is_followed(ref) else ()

    def outputs(self, ref: ArtifactRef) -> tuple[ArtifactRef, ...]:
        """What to show as made from it."""
        return self.graph.outputs(ref) if self.is_followed(ref) else ()

    def is_followed(self, ref: ArtifactRef) -> bool:
        """Whether what lies behind an artifact is on view too."""
        return self.history or ref.partition == self.asked.partition

    @property
    def directions(self) -> list[Direction]:
        """The directions that were asked for."""
        up = Direction("made from", self.inputs, self.graph.upstream)
        down = Direction("went into", self.outputs, self.graph.downstream)
        return [up] * self.up + [down] * self.down

    def refs(self) -> list[ArtifactRef]:
        """Everything on view, inputs before outputs."""
        shown = {self.asked}
        for direction in self.directions:
            queue = [self.asked]
            for ref in queue:
                fresh = [other for other in direction.step(ref) if other not in shown]
                queue += fresh
                shown |= set(fresh)
        return [ref for ref in self.graph.in_order() if ref in shown]

    def edges(self, refs: list[ArtifactRef]) -> list[Edge]:
        """The edges between artifacts on view."""
        shown = set(refs)
        return [Edge(ref, output) for ref in refs for output in self.graph.outputs(ref) if output in shown]


def open_view(name: str, up: bool, down: bool, history: bool) -> View:
    """The lineage of the artifact that `name` means, both ways where neither is asked for."""
    graph = read_graph(StoreResource().open())
    return View(graph, graph.find(name), up or not down, down or not up, history)


def print_lineage(console: Console, view: View) -> None:
    """The tree, and below it what could not be read."""
    console.print(lineage_tree(view), soft_wrap=True)
    for problem in view.graph.unreadable:
        console.print(f"[yellow]left out[/yellow]: {escape(problem)}", soft_wrap=True)


def lineage_tree(view: View) -> Tree:
    """Each artifact once in full, with what lies behind it; later mentions are short."""
    tree = Tree(_line(view.graph.nodes[view.asked]))
    told = {view.asked}
    for direction in view.directions:
        branch = tree.add(f"[dim]{direction.words}[/dim]" + ("" if direction.step(view.asked) else " nothing"))
        _grow(branch, view, direction, view.asked, told, 0)
    return tree


def _grow(branch: Tree, view: View, direction: Direction, ref: ArtifactRef, told: set[ArtifactRef], depth: int) -> None:
    known = []
    for other in direction.step(ref):
        if other in told:
            known.append(f"{other.key}@{other.partition}")
            continue
        told.add(other)
        if depth < DEPTH and view.is_followed(other):
            _grow(branch.add(_line(view.graph.nodes[other])), view, direction, other, told, depth + 1)
        else:
            behind = len(direction.reach(other))
            branch.add(_line(view.graph.nodes[other]) + (f"  [dim]… {behind:,} behind it[/dim]" if behind else ""))
    if known:
        branch.add(f"[dim]{', '.join(known)} (above)[/dim]")


def _line(node: Node) -> str:
    ref, version = node.ref, node.shown
    start = f"[bold]{ref.key}[/bold]@{ref.partition}  {ref.digest[:12]}"
    if version is None:
        return f"{start}  [red]gone[/red]"
    manifest = version.manifest
    facts = [start, made_when(manifest), f"{manifest.seconds:.1f} s", escape(headline(manifest))]
    return "  ".join([fact for fact in facts if fact] + ["[yellow]older[/yellow]"] * (not node.is_current))


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
    refs = view.refs()
    document = {
        "asked": asdict(view.asked),
        "artifacts": [_record(view.graph.nodes[ref]) for ref in refs],
        "edges": [{"input": asdict(edge.input), "output": asdict(edge.output)} for edge in view.edges(refs)],
        "unreadable": view.graph.unreadable,
    }
    return to_json(_without_nan(document), indent=2)


def _record(node: Node) -> dict[str, Any]:
    versions = [
        {
            "version": version.name,
            "current": version.is_current,
            "created_at": version.manifest.created_at,
            "seconds": version.manifest.seconds,
            "run_id": version.manifest.run_id,
            "code_version": version.manifest.recipe.code_version,
            "config": version.manifest.recipe.config,
            "metrics": version.manifest.metrics,
        }
        for version in node.versions
    ]
    return {**asdict(node.ref), "gone": node.is_gone, "versions": versions}


def _without_nan(value: Any) -> Any:
    """NaN and infinity are no JSON."""
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
