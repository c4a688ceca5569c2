"""What requests are answered from: champion, overlay and policies; opened beside, swapped between two requests."""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recsys_pipeline.adapters.serving.overlays import newest_overlay
from recsys_pipeline.adapters.serving.policies import FOLDER, keep_policy, policies
from recsys_pipeline.adapters.serving.releases import champion
from recsys_pipeline.adapters.serving.served import Served
from recsys_pipeline.adapters.serving.served_log import Made
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.core.errors import RecsysError
from recsys_pipeline.core.keys import ArtifactRef
from recsys_pipeline.core.serving.policy.policy import Policy
from recsys_pipeline.core.serving.policy.request import Request

LOOK_S = 0.5
"""How often the store is looked at."""
State = tuple[ArtifactRef, ArtifactRef | None, tuple[str, ...]]
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """One state of what is served; it never changes."""

    served: Served
    policies: Mapping[str, Policy]

    def made(self, policy: Policy) -> Made:
        """What a list by this policy is made of."""
        release, overlay = self.served.release_ref, self.served.overlay_ref
        of_overlay = (overlay.partition, overlay.digest) if overlay else ("", "")
        return Made(policy.digest, release.partition, release.digest, *of_overlay)

    @property
    def state(self) -> State:
        """What it was opened from."""
        return (self.served.release_ref, self.served.overlay_ref, _digests(self.policies))


class Holder:
    """Keeps the newest state open; `opened` is what a request takes, once, and keeps until it is answered."""

    def __init__(self, store: ArtifactStore, folder: Path = FOLDER) -> None:
        self._store, self._folder = store, folder
        self.refused = ""
        """Why the newest state is not served, where it is not: the one before stays."""
        self.swaps = 0
        self.is_warm = False
        """Whether what folding in needs is loaded: until then requests may take seconds, and have them."""
        self.opened = self._open()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow the champion", daemon=True)

    def start(self) -> None:
        """Begin to follow, and load what folding in needs, so that the first such request does not wait for it."""
        self._thread.start()

    def close(self) -> None:
        """Stop following."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> bool:
        """Open what the store says now, if that is something else; False where it is not, or cannot be served."""
        try:
            if self._wanted() == self.opened.state:
                self.refused = ""
                return False
            fresh = self._open()
        except (RecsysError, OSError) as error:
            if str(error) != self.refused:
                LOG.error("what is served stays: %s", error)
            self.refused = str(error)
            return False
        self.opened, self.refused, self.swaps = fresh, "", self.swaps + 1
        LOG.info("serving %s", fresh.served.told)
        return True

    def _wanted(self) -> State | None:
        """What is to be served; None where that is nothing."""
        found = champion(self._store)
        if found is None:
            return None
        over = newest_overlay(self._store, found)
        return found.manifest.ref, over.manifest.ref if over else None, _digests(policies(self._folder))

    def _open(self) -> Opened:
        opened = Opened(Served.open(self._store), policies(self._folder))
        for policy in opened.policies.values():
            keep_policy(self._store, policy)
        known = opened.served.release.users.all_ids()
        for user in ["", *known.slice(0, 3).to_pylist()]:
            for policy in opened.policies.values():
                opened.served.list_of(Request("warm", 0, user, query="a", around=""), policy)
                opened.served.list_of(Request("warm", 0, user), policy)
        return opened

    def _follow(self) -> None:
        self._warm_fold_in()
        while not self._ended.wait(LOOK_S):
            self.look()

    def _warm_fold_in(self) -> None:
        """Folding in loads JAX and compiles, once."""
        served = self.opened.served
        some = tuple(served.release.items.all_ids().slice(0, 3).to_pylist())
        start = time.perf_counter()
        served.list_of(Request("warm", 0, history=some), self.opened.policies["default"])
        self.is_warm = True
        LOG.info("folding in is ready after %.1f s", time.perf_counter() - start)


def _digests(found: Mapping[str, Policy]) -> tuple[str, ...]:
    return tuple(sorted(f"{name}:{policy.digest}" for name, policy in found.items()))
