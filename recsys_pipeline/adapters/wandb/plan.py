"""What is to be sent to Weights & Biases and in which order: inputs before outputs, whatever any clock says."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import MappingProxyType

from recsys_pipeline.adapters.lineage.graph import read_graph
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.store.manifest import MANIFEST_NAME, Manifest, Recipe
from recsys_pipeline.adapters.wandb.names import run_identity
from recsys_pipeline.adapters.wandb.outbox import FINISHED, Entry, RunFacts, Stored
from recsys_pipeline.core.errors import ArtifactError

Stores = Callable[[str], ArtifactStore]
"""The store of a source, by the source's name."""


SETTINGS_FROM = "settings_from"
"""Entry of a run's config in W&B that says where each of its settings is from."""


def facts_of_recipe(
    source: str, recipe: Recipe, dagster_run: str, project: str, origins: Mapping[str, str] = MappingProxyType({})
) -> RunFacts:
    """The run that makes an artifact: the same from the asset that is about to run and from the manifest it left."""
    told = {SETTINGS_FROM: dict(origins)} if origins else {}
    place = {"asset_key": recipe.key, "partition": recipe.partition, "dagster_run": dagster_run}
    return RunFacts(
        id=run_identity(source, recipe, dagster_run),
        name=f"{recipe.key}@{recipe.partition}",
        job_type=recipe.key.split("/")[0],
        project=project,
        config={**recipe.config, **told, **place, "inputs": [vars(ref) for ref in recipe.inputs]},
        group=recipe.partition,
        tags=(source,),
        inputs=tuple(Stored(source, ref.key, ref.partition, ref.digest) for ref in recipe.inputs),
    )


def figures(metrics: Mapping[str, object]) -> dict[str, float | int]:
    """The metrics that a curve can show."""
    return {
        name: value for name, value in metrics.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }


def entry_of_manifest(source: str, version: str, manifest: Manifest, project: str) -> Entry:
    """The entry of a run that the outbox never saw, as far as the manifest of what it made tells it."""
    facts = facts_of_recipe(source, manifest.recipe, manifest.run_id, project, manifest.origins)
    metrics = figures(manifest.metrics)
    output = Stored(source, manifest.recipe.key, manifest.recipe.partition, manifest.digest, version)
    logged = [{"metrics": metrics}] if metrics else []
    events = (*logged, {"output": dataclasses.asdict(output)}, {"ended": FINISHED})
    return Entry(dataclasses.replace(facts, opened_at=manifest.created_at), events)


def unsent_entries(store: ArtifactStore, source: str, project: str, covered: Collection[Stored]) -> list[Entry]:
    """An entry for every version in the store that is not covered by another entry or an acknowledgement."""
    graph = read_graph(store)
    return [
        entry_of_manifest(source, version.name, version.manifest, project)
        for ref in graph.in_order()
        for version in reversed(graph.nodes[ref].versions)  # the newest last: it keeps the aliases
        if Stored(source, ref.key, ref.partition, ref.digest, version.name) not in covered
    ]


class Plan:
    """Finds for every input who provides it: a server that has it, an entry, or a manifest; else it is absent."""

    def __init__(self, entries: Iterable[Entry], held: Collection[Stored], stores: Stores) -> None:
        """`held` are contents that the server has."""
        self._held = held
        self._stores = stores
        self._providers: dict[Stored, list[Entry]] = defaultdict(list)
        for entry in entries:
            for output in entry.outputs:
                self._providers[output.content].append(entry)

    def in_order(self, roots: Iterable[Entry]) -> Iterator[Entry]:
        """The roots and what they need, each once and after all that provides its inputs.

        Depth first without recursion, since a chain of snapshots has one link a day. Entries that need one another in
        a ring, which no honest run can write, come in the order in which they were met.
        """
        met: set[str] = set()
        stack = [(entry, False) for entry in reversed(list(roots))]
        while stack:
            entry, complete = stack.pop()
            if complete:
                yield entry
            elif entry.facts.id not in met:
                met.add(entry.facts.id)
                stack.append((entry, True))
                needs = [needed for stored in entry.facts.inputs for needed in self.providers(stored, entry)]
                stack += [(needed, False) for needed in reversed(needs)]

    def providers(self, stored: Stored, user: Entry) -> list[Entry]:
        """The entries that must be sent before `user` can use this input; none where a server has it already."""
        content = stored.content
        if content in self._held:
            return []
        if content not in self._providers:
            self._providers[content] = self._from_manifests(content, user.facts.project)
        return self._providers[content]

    def is_absent(self, stored: Stored, user: Entry) -> bool:
        """Whether nobody has this input any more."""
        return stored.content not in self._held and not self.providers(stored, user)

    def _from_manifests(self, content: Stored, project: str) -> list[Entry]:
        store = self._stores(content.source)
        folder = f"{store.root}/{content.key}/{content.partition}"
        try:
            names = [path.rstrip("/").rsplit("/", 1)[-1] for path in store.fs.ls(folder, detail=False)]
        except FileNotFoundError:
            return []
        found = []
        for name in sorted(name for name in names if name.startswith(content.digest[:16])):
            try:
                path = f"{folder}/{name}/{MANIFEST_NAME}"
                manifest = Manifest.parse(store.fs.cat_file(path), path)
            except (FileNotFoundError, ArtifactError):  # gone or damaged: the run that needs it gets a note of that
                continue
            if manifest.digest == content.digest:
                found.append(entry_of_manifest(content.source, name, manifest, project))
        return found
