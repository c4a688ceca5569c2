"""Why an item stands in a list, in a form that a page, a log and a test can read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import Slate, classes

SENTENCES: dict[str, str] = {
    "taste": "Because you took {}",
    "popular": "Popular now",
    "trending": "Rising in the last hours",
    "new": "New here",
    "similar": "Goes with {}",
    "words": "Matches your words",
}


@dataclass(frozen=True)
class Reason:
    """What speaks for an item; `item_id` is the one that it goes back to, where there is one."""

    kind: str
    """A key of `SENTENCES`: what a source's `REASON` says."""
    item_id: str = ""

    def sentence(self, title: str = "") -> str:
        """For people; `title` is that of `item_id`."""
        if self.kind == "taste" and not self.item_id:
            return "For your taste"
        return SENTENCES[self.kind].format(title or self.item_id)


def reasons(asked: Asked, slate: Slate, sources: Sequence[str]) -> tuple[list[str], Int64[np.ndarray, " n"]]:
    """Of each place, by the source that named it: the kind of its reason, and the row that it goes back to, or −1."""
    there = classes("sources")
    kinds = [getattr(there.get(name), "REASON", "popular") for name in sources]
    if asked.vector is None:
        kinds = ["popular" if kind == "taste" else kind for kind in kinds]
    around = asked.around if len(asked.around) else np.array([-1])
    because = np.where(np.array([kind == "similar" for kind in kinds], bool), around[0], -1)
    is_taste = np.array([kind == "taste" for kind in kinds], bool)
    because[is_taste] = _because(asked, slate.rows[is_taste])
    return kinds, because


def _because(asked: Asked, rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Of each item, the one of the user's that is most like it: by the inner product of their vectors, if above 0."""
    taken = asked.taken
    if not len(taken) or not len(rows):
        return np.full(len(rows), -1)
    likeness = asked.offer.vectors(rows) @ asked.offer.vectors(taken).T
    best = likeness.argmax(axis=1)
    return np.where(likeness[np.arange(len(rows)), best] > 0, taken[best], -1)
