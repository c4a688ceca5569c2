"""One list under a policy: candidates, what may be shown of them, scores, order, reasons."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from recsys_pipeline.core.serving.offer import Offer, Why
from recsys_pipeline.core.serving.policy.asked import NOWHERE, Asked
from recsys_pipeline.core.serving.policy.parts import FIRST, Filter, Part, Slate
from recsys_pipeline.core.serving.policy.policy import Policy
from recsys_pipeline.core.serving.policy.reasons import Reason, reasons
from recsys_pipeline.core.serving.policy.request import Request

GROWTH = 4
POPULAR = "popular"
"""What fills a list that sources leave short, or stands in for them."""
Made = TypeVar("Made")


@dataclass(frozen=True)
class Place:
    """One place of a list."""

    item_id: str
    score: float
    propensity: float
    source: str
    reason: Reason


@dataclass
class Trace:
    """What happened on the way, for logs and the inspector; no list depends on it."""

    candidates: dict[str, int] = field(default_factory=dict)
    """By source."""
    withheld: dict[str, int] = field(default_factory=dict)
    """By filter: how many of the candidates it took that no filter before it had."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By stage, of the clock that was handed over."""
    failed: dict[str, str] = field(default_factory=dict)
    """By part that was skipped: what it raised."""


@dataclass(frozen=True)
class ServedList:
    """A list as it was served."""

    request: Request
    places: tuple[Place, ...]
    why: Why | Literal["told"]
    """Whose taste it is made for: `release`, `overlay`, `told`, or `popular` where nothing is known of it."""
    skipped: tuple[str, ...]
    """Parts that failed or for which there was no time; who makes the list again leaves them out too."""
    trace: Trace
    rows: Int64[np.ndarray, "2 places"]
    """Of the offer: each place's item, and the item that its reason goes back to, or −1."""

    @property
    def degraded(self) -> bool:
        """Whether it is not what the policy wanted."""
        return bool(self.skipped)


def stopped() -> float:
    """The clock of whom time does not matter to."""
    return 0.0


def make_list(
    offer: Offer,
    policy: Policy,
    request: Request,
    skip: Collection[str] = (),
    clock: Callable[[], float] = stopped,
    until: float = float("inf"),
) -> ServedList:
    """The list of one request.

    A source, scorer or orderer that fails, or that would start after `until` on the clock, is skipped and named; where
    no source or no scorer is left, what is popular stands in. Filters are never skipped: where one fails the list is
    empty. With `skip`, as a served list names it, the same list is made again.
    """
    making = _Making(Asked(offer, request, policy.seed), policy, list(dict.fromkeys(skip)), clock, until)
    places, rows = making.places()
    return ServedList(request, places, making.asked.why, tuple(making.skipped), making.trace, rows)


@dataclass
class _Making:
    """One list on its way."""

    asked: Asked
    policy: Policy
    skipped: list[str]
    clock: Callable[[], float]
    until: float
    trace: Trace = field(default_factory=Trace)

    def places(self) -> tuple[tuple[Place, ...], Int64[np.ndarray, "2 places"]]:
        """The list, and the rows that it speaks of."""
        rows, source = self._timed("retrieve", self._candidates)
        slate = self._timed("score", lambda: self._scored(rows))
        slate = self._timed("order", lambda: self._ordered(slate))
        return self._timed("explain", lambda: self._told(slate, dict(zip(rows.tolist(), source, strict=True))))

    def _candidates(self) -> tuple[Int64[np.ndarray, " n"], list[str]]:
        """What may be shown, each once, with the source that named it first; more is asked for while it is too few."""
        offer, request = self.asked.offer, self.asked.request
        n = request.k + FIRST
        while True:
            found = [(part.NAME, self._skippable("sources", part, partial(part.candidates, self.asked, n), NOWHERE))
                     for part in self.policy.sources]  # fmt: skip
            rows, names = _merged(found)
            kept = self._kept(rows)
            is_asked_again = n > request.k + FIRST
            is_all = n >= len(offer.on_sale) or (is_asked_again and all(len(some) < n for _, some in found))
            if kept.sum() >= request.k or is_all:
                break
            n *= GROWTH
        looked_at, rows, names = rows, rows[kept], names[kept]
        if len(rows) < request.k and request.is_open:
            more = offer.by_popularity[~np.isin(offer.by_popularity, looked_at)]
            more = more[self._kept(more)][: request.k - len(rows)]
            rows, names = np.concatenate([rows, more]), np.concatenate([names, np.repeat(POPULAR, len(more))])
        self.trace.candidates = dict(Counter(names.tolist()))
        return rows, names.tolist()

    def _kept(self, rows: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """What every filter keeps."""
        kept = np.ones(len(rows), bool)
        for part in self.policy.filters:
            before = int(kept.sum())
            kept &= self._or_none(part, rows)
            self.trace.withheld[part.NAME] = self.trace.withheld.get(part.NAME, 0) + before - int(kept.sum())
        return kept

    def _or_none(self, part: Filter, rows: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """What a filter keeps; nothing where it fails, whatever the hurry."""
        name, nothing = f"filters.{part.NAME}", np.zeros(len(rows), bool)
        if name in self.skipped:
            return nothing
        try:
            return part.keeps(self.asked, rows)
        except Exception as error:  # noqa: BLE001 - a request never fails because a part did
            self._skip(name, repr(error))
            return nothing

    def _scored(self, rows: Int64[np.ndarray, " n"]) -> Slate:
        """All candidates, best first, equals by hash."""
        offer, scores, is_scored = self.asked.offer, np.zeros(len(rows), np.float32), False
        for part in self.policy.scorers:
            of_part = self._skippable("scorers", part, partial(part.scores, self.asked, rows), None)
            if of_part is not None:
                scores, is_scored = scores + of_part, True
        if not is_scored:
            scores = offer.popularity[rows]
        order = np.lexsort((offer.tie_key[rows], -scores))
        return Slate(rows[order], scores[order], np.ones(len(rows), np.float32))

    def _ordered(self, slate: Slate) -> Slate:
        """Arranged by every orderer in turn, and cut."""
        for part in self.policy.orderers:
            slate = self._skippable("orderers", part, partial(part.order, self.asked, slate), slate)
        return slate.take(np.arange(min(self.asked.request.k, len(slate.rows))))

    def _told(self, slate: Slate, source: Mapping[int, str]) -> tuple[tuple[Place, ...], Int64[np.ndarray, "2 places"]]:
        """The list, with ids and reasons, and its rows."""
        sources = [source[row] for row in slate.rows.tolist()]
        kinds, because = reasons(self.asked, slate, sources)
        rows = np.stack([slate.rows, because])
        ids = self.asked.offer.ids(rows).tolist()  # once: a look-up costs more than a row
        columns = (ids[0], slate.scores.tolist(), slate.propensity.tolist(), sources, map(Reason, kinds, ids[1]))
        return tuple(Place(*values) for values in zip(*columns, strict=True)), rows

    def _skippable(self, kind: str, part: Part, make: Callable[[], Made], instead: Made) -> Made:
        """What a part makes; something else where it fails, where there is no time, or where it was skipped before."""
        name = f"{kind}.{part.NAME}"
        if name in self.skipped:
            return instead
        if self.clock() > self.until:
            self._skip(name, "no time was left")
            return instead
        try:
            return make()
        except Exception as error:  # noqa: BLE001 - a request never fails because a part did
            self._skip(name, repr(error))
            return instead

    def _skip(self, name: str, why: str) -> None:
        self.skipped.append(name)
        self.trace.failed[name] = why

    def _timed(self, stage: str, make: Callable[[], Made]) -> Made:
        start = self.clock()
        made = make()
        self.trace.seconds[stage] = self.clock() - start
        return made


def _merged(found: list[tuple[str, np.ndarray]]) -> tuple[Int64[np.ndarray, " n"], Shaped[np.ndarray, " n"]]:
    """Each row once, in the order in which sources named it, and by which."""
    rows = np.concatenate([rows for _, rows in found])
    names = np.repeat(np.array([name for name, _ in found], object), [len(rows) for _, rows in found])
    if len(found) > 1:
        first = np.sort(np.unique(rows, return_index=True)[1])
        rows, names = rows[first], names[first]
    return rows, names
