"""What is served now: the champion and the overlay that fits it, opened together from the store."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from recsys_pipeline.adapters.serving.overlays import newest_overlay
from recsys_pipeline.adapters.serving.releases import RELEASE, champion
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.keys import ArtifactRef
from recsys_pipeline.core.serving.offer import Offer
from recsys_pipeline.core.serving.policy.lists import ServedList, make_list
from recsys_pipeline.core.serving.policy.policy import Policy
from recsys_pipeline.core.serving.policy.request import Request
from recsys_pipeline.core.serving.recommend import Recommendations, recommend
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.speed import lists
from recsys_pipeline.core.speed.overlay import Overlay


@dataclass(frozen=True)
class Served:
    """An open release with its overlay. It stays what it is when another is promoted: open again to follow.

    `Served.open(store).recommend(["u000001"]).of(0)` is a user's list.
    """

    release: Release
    overlay: Overlay | None
    """None before the first hour over this release."""
    release_ref: ArtifactRef
    overlay_ref: ArtifactRef | None

    @classmethod
    def open(cls, store: ArtifactStore, verify: bool = True) -> "Served":
        """What is served from a store; `verify=False` trusts the content of files and checks their sizes alone.

        Raises `ArtifactError` with the way out where nothing is served, or a file is missing, corrupt or foreign.
        """
        found = champion(store)
        if found is None:
            raise ArtifactError(_nothing(store))
        release, over = Release.load(found.path, verify), newest_overlay(store, found)
        overlay = None if over is None else Overlay.load(over.path, release, verify)
        return cls(release, overlay, found.manifest.ref, None if over is None else over.manifest.ref)

    def recommend(self, user_ids: Sequence[str], k: int | None = None) -> Recommendations:
        """The k best items for each user, the release's own k by default; strangers get what is popular."""
        return recommend(self.release, self.overlay, user_ids, self.release.config.k if k is None else k)

    def list_of(self, request: Request, policy: Policy) -> ServedList:
        """One list under a policy."""
        return make_list(self.offer, policy, request)

    @cached_property
    def offer(self) -> Offer:
        """What may be recommended; made when first asked for, and kept."""
        return Offer.of(self.release, self.overlay, 1)

    def titles(self, item_ids: Sequence[str]) -> list[str]:
        """Titles of items; "" where there is none."""
        return lists.titles(self.release, self.overlay, item_ids)

    @property
    def n_users(self) -> int:
        """How many users are known."""
        return lists.count_users(self.release, self.overlay)

    def every_list(self, k: int | None = None) -> Iterator[tuple[int, pa.Table]]:
        """(users, rows of `lists.LISTS`) of all known users, in batches."""
        return lists.every_list(self.release, self.overlay, self.release.config.k if k is None else k)

    @property
    def told(self) -> str:
        """What is served, in words."""
        over = "no overlay yet" if self.overlay is None else f"overlay of the hour {self.overlay.hour}"
        return f"release of {self.release.day} ({self.release_ref.digest[:12]}), {over}"


def _nothing(store: ArtifactStore) -> str:
    days = store.partitions(RELEASE)
    if not days:
        return f"nothing is served from {store.root}: `recsys run batch_daily` makes the first release"
    return (
        f"nothing is served from {store.root}: no release was promoted, and the newest is of {days[-1]}; "
        "`recsys release list` says why, `recsys release promote DAY` serves one"
    )
