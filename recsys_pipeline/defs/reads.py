"""What an asset reads, declared: its dependencies in Dagster and the inputs of its recipe follow from it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from recsys_pipeline.adapters.store.artifact_store import Artifact

if TYPE_CHECKING:
    from recsys_pipeline.defs.make import Make


@dataclass(frozen=True)
class Read:
    """The artifact of another asset for the same partition.

    With `needs` (kinds of data, a dot between several) it is read only where the source provides these; without, who
    reads it is loaded only where it is made.
    """

    key: str
    needs: str = ""

    @property
    def name(self) -> str:
        """By which the asset's function asks for it."""
        return self.key

    def dep(self) -> dg.AssetDep | None:
        """The edge in Dagster's graph."""
        return dg.AssetDep(self.key.split("/"))

    def find(self, make: "Make") -> Iterable[Artifact]:
        """What is read for the partition of a run; raises `ArtifactError` where it was never made."""
        return [make.store.get(self.key, make.partition)]


@dataclass(frozen=True)
class After(Read):
    """An asset that comes first and of which nothing is read: where its checks fail, this one is not made."""

    def find(self, make: "Make") -> Iterable[Artifact]:  # noqa: ARG002 - as all reads
        """Nothing."""
        return []


@dataclass(frozen=True)
class Earlier(Read):
    """The newest artifact of an asset for an earlier partition, where there is one: `make.one(Earlier(key).name)`."""

    @property
    def name(self) -> str:
        """By which the asset's function asks for it."""
        return f"earlier {self.key}"

    def dep(self) -> dg.AssetDep | None:
        """None: Dagster's graph is of one partition."""
        return None

    def find(self, make: "Make") -> Iterable[Artifact]:
        """The one, or nothing."""
        found = make.store.latest(self.key, before=make.partition)
        return [found] if found else []


@dataclass(frozen=True)
class Cached(Earlier):
    """The newest earlier artifact with all its files, from which what did not change is taken as it is.

    No input of the recipe: what is made comes to the same byte for byte without it. `make.cached(key)` is its folder;
    None where nothing is to be reused.
    """

    @property
    def name(self) -> str:
        """By which the asset's function asks for it."""
        return f"cached {self.key}"

    def find(self, make: "Make") -> Iterable[Artifact]:
        """The one, or nothing."""
        return [one for one in super().find(make) if not make.recompute and one.has_all_files()]


@dataclass(frozen=True)
class Traced(Read):
    """Artifacts that are found from others, such as the version that a manifest names: `key` is a name for them.

    `trace(make)` finds them once all reads declared before it are there; None among them are left out.
    """

    trace: Callable[["Make"], Iterable[Artifact | None]] = lambda _: ()
    edge: dg.AssetDep | None = None
    """What Dagster's graph shows, if anything."""

    def dep(self) -> dg.AssetDep | None:
        """As declared."""
        return self.edge

    def find(self, make: "Make") -> Iterable[Artifact]:
        """Those that there are."""
        return [found for found in self.trace(make) if found is not None]


def is_required(read: Read) -> bool:
    """Whether an asset that reads this is loaded only where it is made."""
    return type(read) in (Read, After) and not read.needs


def provided(needs: str, kinds: Any) -> bool:
    """Whether a source that provides these kinds has all that is needed."""
    return set(needs.split(".")) <= set(kinds) if needs else True
