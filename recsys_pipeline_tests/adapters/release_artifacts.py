"""Releases and decisions in a store, with nothing in them that takes time to make."""

import dataclasses
from pathlib import Path

from recsys_pipeline.adapters.serving.releases import DECISION, RELEASE
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.store.manifest import Recipe, content_digest, describe_files
from recsys_pipeline.core.keys import ArtifactRef
from recsys_pipeline.core.serving.gate import LATENCY, Decision, judge
from recsys_pipeline.core.serving.gate_limits import GateLimits
from recsys_pipeline.core.serving.gate_record import Gap, GateFigures
from recsys_pipeline.core.serving.release_document import DOCUMENT, FORMAT
from recsys_pipeline.core.serving.sealed import seal

FIGURES = GateFigures(
    day="", ndcg=0.2, ndcg_low=0.1, ndcg_high=0.3, n_users=10, coverage=0.5, recall=1.0, n_not_finite=0,
    item_norm_median=1.0, item_norm_max=1.0, full_lists=1.0, empty_lists=0.0, events_share=0.0,
    events_of_user=0, test_share=0.0, test_rows_of_user=0, latency_p99_ms=1.0,
    versus_popularity=Gap(0.1, 0.05, 0.15, 0.001, 10), one_list=0.01, unlike_judged=0.0,
)  # fmt: skip


def recipe(key: str, day: str, inputs: tuple[ArtifactRef, ...] = (), **config: object) -> Recipe:
    return Recipe(key, day, inputs, config, "v1", {})


def released(store: ArtifactStore, day: str, text: str = "", inputs: tuple[ArtifactRef, ...] = ()) -> Artifact:
    """A release that can be told from others by its content."""

    def build(directory: Path) -> Built:
        (directory / "vectors.txt").write_text(f"{day} {text}")
        seal(directory, DOCUMENT, {"format": FORMAT, "day": day})
        return Built({"users": 1})

    return store.build(recipe(RELEASE, day, inputs, text=text), build)


def decided(
    store: ArtifactStore, release: Artifact, good: bool = True, latency_ms: float = 1.0,
    inputs: tuple[ArtifactRef, ...] = (),
) -> Decision:  # fmt: skip
    """The gate's decision on a release: with nothing wrong, or with a recall that is too low."""
    day = release.manifest.recipe.partition
    figures = dataclasses.replace(FIGURES, day=day, recall=1.0 if good else 0.5, latency_p99_ms=latency_ms)
    made = judge(figures, None, GateLimits())

    def build(directory: Path) -> Built:
        made.save(directory)
        files = {name: entry for name, entry in describe_files(directory).items() if name != LATENCY}
        return Built({"ndcg": figures.ndcg, "promoted": made.promoted}, digest=content_digest(files))

    artifact = store.build(recipe(DECISION, day, (release.manifest.ref, *inputs)), build)
    return Decision.load(artifact.path)


def promotable(store: ArtifactStore, day: str, good: bool = True, text: str = "") -> tuple[Artifact, Decision]:
    """A release with a decision on it."""
    release = released(store, day, text)
    return release, decided(store, release, good)
