"""Lineage version by version: a manifest names its inputs by content, and several versions may have that content.

Two recipes that come to the same bytes are one artifact to whoever reads it, but they were made from different things.
Tonight's page read the version that tonight's models were judged in; that last night's came to the same is no ancestry.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from recsys_pipeline.adapters.lineage.graph import LineageGraph, Version, reached
from recsys_pipeline.core.keys import ArtifactRef


class Making(NamedTuple):
    """One version of an artifact, by the name of its folder; nameless where its manifest is gone."""

    ref: ArtifactRef
    name: str = ""


@dataclass(frozen=True)
class Makings:
    """Which version was made from which."""

    graph: LineageGraph

    def shown(self, ref: ArtifactRef) -> Making:
        """The version that stands for an artifact."""
        version = self.graph.nodes[ref].shown
        return Making(ref, version.name) if version else Making(ref)

    def version(self, making: Making) -> Version | None:
        """The version itself; None where it is gone."""
        return next((one for one in self.graph.nodes[making.ref].versions if one.name == making.name), None)

    def same_content(self, making: Making) -> list[Making]:
        """Other versions of its partition with the same content."""
        versions = self.graph.nodes[making.ref].versions
        return [Making(making.ref, one.name) for one in versions if one.name != making.name]

    @cached_property
    def _inputs(self) -> dict[Making, tuple[Making, ...]]:
        found = {}
        for ref, node in self.graph.nodes.items():
            for version in node.versions:
                meant_ones = [(source, meant(self.graph, source, version)) for source in version.manifest.recipe.inputs]
                made_from = [Making(source, one.name if one else "") for source, one in meant_ones]
                found[Making(ref, version.name)] = tuple(dict.fromkeys(made_from))
        return found

    @cached_property
    def _outputs(self) -> dict[Making, tuple[Making, ...]]:
        found: dict[Making, list[Making]] = defaultdict(list)
        for making, sources in self._inputs.items():
            for source in sources:
                found[source].append(making)
        return {making: tuple(outputs) for making, outputs in found.items()}

    def inputs(self, making: Making) -> tuple[Making, ...]:
        """What it was made from, directly, in the order of its recipe."""
        return self._inputs.get(making, ())

    def outputs(self, making: Making) -> tuple[Making, ...]:
        """What was made from it, directly."""
        return self._outputs.get(making, ())

    def upstream(self, making: Making) -> tuple[Making, ...]:
        """Everything that it was made from, directly or not, nearest first; not itself."""
        return reached(making, self.inputs)

    def downstream(self, making: Making) -> tuple[Making, ...]:
        """Everything that was made from it, directly or not, nearest first; not itself."""
        return reached(making, self.outputs)


def meant(graph: LineageGraph, ref: ArtifactRef, reader: Version) -> Version | None:
    """The version that a reader read, of those that have the content which it names; None where none is left.

    That is the one which agrees best with what else the reader stands on: whose inputs contradict it least, and then
    share most with it. Among equals it was there when the reader was made, came from the same run, and is the newest.
    """
    versions = graph.nodes[ref].versions
    if len(versions) < 2:
        return next(iter(versions), None)
    ground = _ground(graph, reader)

    def nearness(version: Version) -> tuple[int, int, bool, bool]:
        known = [(ground[place], one) for one in version.manifest.recipe.inputs if (place := _place(one)) in ground]
        shared = sum(below == one.digest for below, one in known)
        in_time = version.manifest.created_at <= reader.manifest.created_at
        return shared - len(known), shared, in_time, version.manifest.run_id == reader.manifest.run_id

    return max(versions, key=nearness)  # of equals the first, and they stand newest first


def _ground(graph: LineageGraph, reader: Version) -> dict[tuple[str, str], str]:
    """Digest by key and partition of what a reader was made from for certain, the nearest first.

    What has one version leads on, as far as its partition is the reader's: what lies behind other days is the past.
    """
    day, found = reader.manifest.recipe.partition, {}
    queue = list(reader.manifest.recipe.inputs)
    for ref in queue:
        if _place(ref) in found:
            continue
        found[_place(ref)] = ref.digest
        versions = graph.nodes[ref].versions
        if ref.partition == day and len(versions) == 1:
            queue += versions[0].manifest.recipe.inputs
    return found


def _place(ref: ArtifactRef) -> tuple[str, str]:
    return ref.key, ref.partition
