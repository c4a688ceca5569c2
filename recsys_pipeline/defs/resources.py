"""Dagster resources: thin, configurable doors to the adapters."""

from functools import cache
from pathlib import Path

import dagster as dg
from pydantic import Field

from recsys_pipeline.adapters.sources import open_source
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.adapters.store.source_stores import SourceStores, open_store, stores
from recsys_pipeline.adapters.wandb.tracker import Tracker
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.settings import Settings, settings


@cache
def configured_source() -> Source:
    """The source that the settings name, opened once per process."""
    return open_source(settings())


class SourceResource(dg.ConfigurableResource):
    """The source of interactions, items and looks that `RECSYS_SOURCE` names."""

    def open(self) -> Source:
        """The source itself."""
        return configured_source()


class StoreResource(dg.ConfigurableResource):
    """The artifact store at `RECSYS_STORE`, in the folder of the configured source."""

    recompute: bool = Field(
        default=False, description="Compute again even what is up to date, to check that it is reproducible."
    )

    def open(self) -> ArtifactStore:
        """The store itself."""
        return open_store(settings(), configured_source().name)

    def input(self, context: dg.AssetExecutionContext, key: str) -> Artifact:
        """The current artifact of another asset for the partition of this run."""
        return self.open().get(key, context.partition_key)


class TrackerResource(dg.ConfigurableResource):
    """Weights & Biases through the outbox; live where `WANDB_API_KEY` is set, else when it is next pushed."""

    enabled: bool = Field(default=True, description="Track runs, metrics and artifacts in Weights & Biases.")
    project: str = Field(default="recsys_pipeline", description="The W&B project.")

    def open(self) -> Tracker:
        """The tracker itself."""
        return _tracker(settings().home / "wandb", self.project, self.enabled, stores(settings()))


@cache
def _tracker(directory: Path, project: str, enabled: bool, places: SourceStores) -> Tracker:
    """One per process, so that one process beside it follows all of its runs."""
    return Tracker(directory, project, enabled, places)


def report_folder(deployment: Settings, source_name: str) -> Path:
    """Where the pages of all days stand for people to open."""
    return deployment.home / "reports" / source_name


RESOURCES = {"source": SourceResource(), "store": StoreResource(), "tracker": TrackerResource()}
