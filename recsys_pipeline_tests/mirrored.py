"""What a W&B double holds, in the terms of our manifests: so that both graphs can be compared for equality."""

from collections import defaultdict
from typing import Protocol

from recsys_pipeline.adapters.lineage.graph import Edge, LineageGraph
from recsys_pipeline.core.keys import ArtifactRef
from recsys_pipeline_tests.wandb_double.views import ArtifactRecord
from recsys_pipeline_tests.wandb_double.views import Edge as RunEdge


class Held(Protocol):
    """A double, or one project of it."""

    def artifacts(self) -> list[ArtifactRecord]: ...

    def edges(self) -> set[RunEdge]: ...


OWN_TYPES = frozenset({"run_table"})
"""Types of the artifacts that W&B's client makes by itself: the rows of a logged table."""


def mirrored_artifacts(held: Held) -> dict[str, ArtifactRef]:
    """Every committed version (`name:v0`) and the artifact that its metadata names."""
    return {
        f"{artifact.name}:v{artifact.version}": ArtifactRef(
            *(artifact.metadata[name] for name in ("key", "partition", "digest"))
        )
        for artifact in held.artifacts()
        if artifact.type not in OWN_TYPES
    }


def mirrored_edges(held: Held) -> set[Edge]:
    """What each run used leads to what it made."""
    refs, runs = mirrored_artifacts(held), defaultdict(lambda: defaultdict(set))
    for edge in held.edges():
        if edge.artifact in refs:
            runs[edge.run][edge.direction].add(refs[edge.artifact])
    return {Edge(used, made) for run in runs.values() for used in run["input"] for made in run["output"]}


def differences(graph: LineageGraph, held: Held) -> list[str]:
    """Nodes and edges that only one side has; empty where both are the same."""
    nodes, mirrored_nodes = set(graph.nodes), set(mirrored_artifacts(held).values())
    edges, mirrored = set(graph.edges()), mirrored_edges(held)
    made = {edge.artifact for edge in held.edges() if edge.direction == "output"}
    orphans = {
        name for name, ref in mirrored_artifacts(held).items() if name not in made and not graph.nodes[ref].is_gone
    }
    return [
        *(f"only in manifests: {one}" for one in (nodes - mirrored_nodes) | (edges - mirrored)),
        *(f"only in W&B: {one}" for one in (mirrored_nodes - nodes) | (mirrored - edges)),
        *(f"made by no run: {name}" for name in orphans),
    ]
