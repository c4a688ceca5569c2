"""Small stores with tracked and untracked artifacts, and pushes of them that run where the W&B client is."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys_pipeline.adapters.lineage.graph import LineageGraph, read_graph
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.adapters.store.source_stores import SourceStores
from recsys_pipeline.adapters.wandb import mirror as wandb_mirror
from recsys_pipeline.adapters.wandb.mirror import Mirror, Report
from recsys_pipeline.adapters.wandb.outbox import FINISHED, Outbox
from recsys_pipeline.adapters.wandb.plan import facts_of_recipe

DAY = "2026-01-02"
SOURCE = "tiny"
CHAIN = ("dataset/snapshot", "folds/prequential", "models/als", "models/popularity", "reports/ranking", "reports/daily")
INPUTS = {
    "folds/prequential": ["dataset/snapshot"],
    "models/als": ["folds/prequential"],
    "models/popularity": ["folds/prequential"],
    "reports/ranking": ["models/als", "models/popularity", "folds/prequential"],
    "reports/daily": ["reports/ranking", "dataset/snapshot"],
}
"""A chain of six with a fork, a join and an input that is far upstream."""


@dataclass(frozen=True)
class Home:
    """A runtime root with one source and one W&B project."""

    folder: Path
    project: str

    @property
    def stores(self) -> SourceStores:
        """All stores."""
        return SourceStores(str(self.folder / "store"), self.folder / "cache")

    @property
    def store(self) -> ArtifactStore:
        """The one store."""
        return self.stores(SOURCE)

    @property
    def outbox(self) -> Outbox:
        """The outbox that a tracker on this home uses."""
        return Outbox(self.folder / "wandb" / "outbox")

    @property
    def graph(self) -> LineageGraph:
        """Lineage by the manifests."""
        return read_graph(self.store)

    @property
    def mirror(self) -> Mirror:
        """The mirror of this home."""
        return Mirror(self.outbox, self.stores, self.project, self.folder / "wandb" / "sending")

    def make(
        self, key: str, *inputs: Artifact, partition: str = DAY, tracked: bool = True, content: str = "",
        config: Mapping[str, Any] | None = None, losses: tuple[float, ...] = (3.0, 2.0),
    ) -> Artifact:  # fmt: skip
        """An artifact as an asset makes it, an untracked one with a manifest only; its Dagster run is `project`."""
        recipe = Recipe(key, partition, tuple(one.manifest.ref for one in inputs), dict(config or {}), "v1", {})
        facts = facts_of_recipe(SOURCE, recipe, self.project, self.project)

        def build(directory: Path) -> Built:
            (directory / "data.txt").write_text(content or f"{key} {partition}")
            return Built({"ndcg": 0.5, "rows": 3, "best_config": {"reg": 0.1}, "undefined": float("nan")})

        entry = self.outbox.open(facts) if tracked else None
        artifact = self.store.build(recipe, build, run_id=self.project)
        if entry is not None:
            from recsys_pipeline.adapters.wandb.tracker import OutboxRun

            run = OutboxRun(entry)
            for loss in losses:
                run.log({"loss": loss})
            run.log_artifact(artifact)
            entry.close(FINISHED)
        return artifact

    def make_chain(self, tracked: bool = True) -> dict[str, Artifact]:
        """All of `CHAIN`."""
        made: dict[str, Artifact] = {}
        for key in CHAIN:
            made[key] = self.make(key, *(made[name] for name in INPUTS.get(key, [])), tracked=tracked)
        return made


def push(home: Home, backoff_s: float = 0.05) -> Report:
    """`recsys wandb push`, with short pauses between tries."""
    wandb_mirror.BACKOFF_S = backoff_s
    return home.mirror.push(home.stores.sources())


def wait_until(condition: Any, timeout_s: float = 30.0) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"nothing happened within {timeout_s} s"
        time.sleep(0.05)
