"""What an asset's function is handed for one run: its form, what it reads, and where it writes."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg

from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.adapters.wandb.tracker import TrackedRun
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.time import Window
from recsys_pipeline.defs.reads import Cached, Read
from recsys_pipeline.defs.resources import SourceResource, StoreResource, TrackerResource

T = TypeVar("T")


class Make:
    """One making of an asset. `make["dataset/items"]` is what `Read("dataset/items")` declares."""

    directory: Path
    """Where the artifact's files are written; there while it is made."""
    run: TrackedRun
    """The run in Weights & Biases; there while it is made."""

    def __init__(
        self, key: str, context: dg.AssetExecutionContext, form: Any, source: SourceResource, store: StoreResource,
        tracker: TrackerResource,
    ) -> None:  # fmt: skip
        self.key, self.context, self.form = key, context, form
        self.partition: str = context.partition_key
        self.recompute = store.recompute
        self.store: ArtifactStore = store.open()
        self.tracker = tracker.open()
        self._source = source
        self._found: dict[str, list[Artifact]] = {}
        self._own: list[str] = []
        self._cached: dict[str, Path | None] = {}
        self._once: dict[tuple[Any, ...], Any] = {}

    @property
    def source(self) -> Source:
        """The source of the deployment."""
        return self._source.open()

    @property
    def day(self) -> date:
        """The day of a daily partition."""
        return date.fromisoformat(self.partition)

    @property
    def window(self) -> Window:
        """The day, or the hour."""
        return Window.of_partition(self.partition)

    def read(self, reads: Iterable[Read]) -> None:
        """Find what is declared, in that order."""
        for read in reads:
            found = list(read.find(self))
            if isinstance(read, Cached):
                self._cached[read.key] = found[0].path if found else None
            else:
                self._found[read.name] = found
                self._own += [read.key] if type(read) is Read else []

    def __getitem__(self, key: str) -> Artifact:
        return self._found[key][0]

    def __contains__(self, key: object) -> bool:
        return bool(self._found.get(str(key)))

    def one(self, name: str) -> Artifact | None:
        """What is declared under a name and may not be there, such as `earlier reports/drift`."""
        found = self._found.get(name)
        return found[0] if found else None

    def earlier(self, key: str) -> Artifact | None:
        """What `Earlier(key)` found."""
        return self._found[f"earlier {key}"][0] if self._found[f"earlier {key}"] else None

    def all(self, name: str) -> list[Artifact]:
        """Everything that is declared under a name."""
        return self._found[name]

    def cached(self, key: str) -> Path | None:
        """The folder that `Cached(key)` found."""
        return self._cached[key]

    @property
    def reads(self) -> Mapping[str, Artifact]:
        """What `Read` declares, by key: artifacts of this partition."""
        return {name: self._found[name][0] for name in self._own}

    @property
    def inputs(self) -> list[Artifact]:
        """All that was found, each once: the inputs of the recipe."""
        return list({one.path: one for found in self._found.values() for one in found}.values())

    def once(self, function: Callable[..., T], *arguments: Any) -> T:
        """`function(*arguments, make)`, found once: it decides both on the recipe and on what is made."""
        if (function, arguments) not in self._once:
            self._once[function, arguments] = function(*arguments, self)
        return self._once[function, arguments]
