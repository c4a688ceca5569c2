"""What of a store may go: nothing that is served, could be served again, is read or is shown.

    kept                                                   because
    the champion, promoted releases of the last days       they are served, or people go back to them
    their decisions, and what they were made from          lineage, and making them again
    models that kept ones went on from, and their folds    what a model was trained on is no test of it
    decisions of the last four weeks                       the gate compares with the best of them
    current artifacts of the last days, the newest of all  later days are made from them
    of each sweep the last before them that found anything models take what it found
    every day of events, and every kept snapshot's files   the data; a snapshot is a list of files of other days
    hours since the champion's day                         the next overlay is made from all of them
    reports of days whose page stands in the folder        the page links to them
    what W&B has not been sent                             the outbox names files and holds none
    where other homes write into the store, what they may  their outboxes and folders of reports are not seen from here
    not have sent yet, and every day's current reports
    what was made in the last day                          a run may be about to use it
    a partition whose pointer is damaged                   nobody knows which of its versions is meant

Days are counted back from the newest partition of the store, not from a clock, so that a store of old data keeps its
newest days.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from recsys_pipeline.adapters.intake.ingestion import KEY as INTERACTIONS
from recsys_pipeline.adapters.lineage.graph import LineageGraph, Node, Version, read_graph
from recsys_pipeline.adapters.serving.releases import DECISION, RELEASE, Standing, history
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.store.deletion import Doomed, Place, left_over
from recsys_pipeline.core.dataset.snapshots import Snapshot
from recsys_pipeline.core.errors import ArtifactError, SettingError
from recsys_pipeline.core.keys import ArtifactRef
from recsys_pipeline.core.serving.gate_limits import GateLimits

KEEP_DAYS = 28
"""Four weeks: a person who finds on a Monday that something went wrong last month can still go back."""
MOST_DAYS = 100_000
FRESH = timedelta(days=1)
SNAPSHOT, REPORTS, SPEED = "dataset/snapshot", "reports/", "speed/"
MODELS, FOLDS, SWEEPS = "models/", "folds/", "learning/"
FOUND = "found"
"""Metric of a sweep: the settings that models take of it; empty where it found none."""


@dataclass(frozen=True)
class Retention:
    """What stays, with the first reason for it, and what would go."""

    kept: dict[Place, str]
    doomed: tuple[Doomed, ...]

    @property
    def n_bytes(self) -> int:
        """What would be freed."""
        return sum(one.n_bytes for one in self.doomed)


def collect(
    store: ArtifactStore,
    keep_days: int = KEEP_DAYS,
    shown_days: Collection[str] = (),
    unsent: Iterable[ArtifactRef] = (),
    now: datetime | None = None,
    decision_days: int = GateLimits().decay_days,
    others_since: datetime | None = None,
) -> Retention:
    """Decide over every version of the store; deletes nothing.

    `shown_days` are the days whose page stands in the report folder; `unsent` what the W&B outbox names;
    `decision_days` how far the gate looks back. Where other homes write into this store, what was made since
    `others_since` may wait there to be sent, and any report may be shown there. Raises `SettingError` for less than
    one day, `ArtifactError` where the champion's pointer, a manifest or a kept snapshot is damaged: what is served, and
    what stands behind it, must be known.
    """
    if keep_days < 1:
        raise SettingError(f"--keep-days {keep_days}: keep at least one day")
    if keep_days > MOST_DAYS:
        raise SettingError(f"--keep-days {keep_days}: keep at most {MOST_DAYS} days, which is for good")
    graph, moves, before = read_graph(store), history(store), (now or datetime.now(UTC)) - FRESH
    if graph.unreadable:
        raise ArtifactError(
            f"nothing can go before it is known what must stay: {'; '.join(graph.unreadable)} (or delete the folder of "
            "a version that is not the current one)"
        )
    kept = _Kept(store, graph)
    days = sorted(ref.partition[:10] for ref in graph.nodes if _is_day(ref.partition[:10]))
    first = (date.fromisoformat(days[-1]) - timedelta(days=keep_days - 1)).isoformat() if days else ""
    standing = Standing.of(moves)
    _keep_releases(kept, standing, first)
    _keep_current(kept, graph, standing, first, shown_days)
    _keep_sweeps(kept, graph, first)
    for ref in unsent:
        kept.all_of(ref, "not sent to W&B")
    if others_since is not None:
        kept.made_since(others_since, "another home may not have sent it to W&B")
        kept.reports("a page of another home may show it")
    _keep_decisions(kept, standing, days[-1] if days else "", decision_days)
    kept.made_since(before, "just made")
    kept.of_damaged_pointers()
    kept.chains()
    kept.read_by_snapshots()
    return Retention(kept.reasons, (*_doomed(graph, kept.reasons), *left_over(store, before)))


def _keep_current(
    kept: "_Kept", graph: LineageGraph, standing: Standing, first: str, shown_days: Collection[str]
) -> None:
    """Current versions of the last days and the newest of all, of events, of hours since the champion, and of pages."""
    newest = {ref.key: max(ref.partition for ref in refs) for refs in _by_key(graph) for ref in refs[:1]}
    for ref, node in graph.nodes.items():
        if not node.is_current:
            continue
        if ref.partition[:10] >= first or ref.partition == newest[ref.key]:
            kept.current(node, "of the last days")
        if ref.key == INTERACTIONS:
            kept.current(node, "events")
        if ref.key.startswith(SPEED) and standing.current and ref.partition[:10] > standing.current.day:
            kept.current(node, "since the champion")
        if ref.key.startswith(REPORTS) and ref.partition in shown_days:
            kept.current(node, "a report page")


def _keep_sweeps(kept: "_Kept", graph: LineageGraph, first: str) -> None:
    """Of each model the last sweep before the kept days that found anything: models of those days take it."""
    giving: dict[str, Node] = {}
    for ref, node in sorted(graph.nodes.items(), key=lambda item: item[0].partition):
        metrics = [version.manifest.metrics for version in node.versions if version.is_current]
        if ref.key.startswith(SWEEPS) and ref.partition < first and metrics and metrics[0].get(FOUND, True):
            giving[ref.key] = node
    for node in giving.values():
        kept.current(node, "models take what it found")


class _Kept:
    """Places that stay, each with the first reason that was found."""

    def __init__(self, store: ArtifactStore, graph: LineageGraph) -> None:
        self._store, self._graph = store, graph
        self.reasons: dict[Place, str] = {}

    def place(self, ref: ArtifactRef, version: Version, reason: str) -> None:
        self.reasons.setdefault(Place(ref.key, ref.partition, version.name), reason)

    def current(self, node: Node, reason: str) -> None:
        for version in node.versions:
            if version.is_current:
                self.place(node.ref, version, reason)

    def all_of(self, ref: ArtifactRef, reason: str) -> None:
        """Every version with this content: a manifest that names it does not say which of them it read."""
        for version in self._graph.nodes[ref].versions if ref in self._graph.nodes else ():
            self.place(ref, version, reason)

    def with_ancestors(self, ref: ArtifactRef, reason: str) -> None:
        """An artifact, everything of its own day that it was made from, and what that names of other days."""
        queue = {ref: None}
        for at in (order := [ref]):
            self.all_of(at, reason)
            if at.partition != ref.partition or at not in self._graph.nodes:
                continue
            fresh = [other for other in self._graph.inputs(at) if other not in queue]
            queue |= dict.fromkeys(fresh)
            order += fresh

    def decisions_on(self, ref: ArtifactRef) -> None:
        for other in self._graph.outputs(ref):
            if other.key == DECISION and other.partition == ref.partition:
                self.all_of(other, "decided on a release")

    def chains(self) -> None:
        """Of every kept model those that it went on from, back to their full fits, and the folds that each learned."""
        waiting = [ref for ref in self._graph.nodes if ref.key.startswith(MODELS) and self._has(ref)]
        for model in waiting:
            read = [ref for ref in self._graph.inputs(model) if ref.key == model.key or ref.key.startswith(FOLDS)]
            for ref in read:
                self.all_of(ref, "a kept model learned of it")
            waiting += [ref for ref in read if ref.key == model.key and ref in self._graph.nodes and ref not in waiting]

    def _has(self, ref: ArtifactRef) -> bool:
        return any(Place(ref.key, ref.partition, one.name) in self.reasons for one in self._graph.nodes[ref].versions)

    def reports(self, reason: str) -> None:
        for ref, node in self._graph.nodes.items():
            if ref.key.startswith(REPORTS):
                self.current(node, reason)

    def made_since(self, since: datetime, reason: str) -> None:
        for ref, node in self._graph.nodes.items():
            for version in node.versions:
                if datetime.fromisoformat(version.manifest.created_at) >= since:
                    self.place(ref, version, reason)

    def of_damaged_pointers(self) -> None:
        """Partitions with a pointer to what is not there; one without a pointer was half deleted, and may go."""
        nodes = self._graph.nodes
        whole = {(ref.key, ref.partition) for ref, node in nodes.items() if node.is_current}
        for ref in [ref for ref, node in nodes.items() if node.versions and (ref.key, ref.partition) not in whole]:
            if self._store.current_version(ref.key, ref.partition) is not None:
                self.all_of(ref, "the pointer is damaged")

    def read_by_snapshots(self) -> None:
        """Day files and id maps of other days, which kept snapshots list by path."""
        root = self._store.local_root
        for place in [place for place in self.reasons if place.key == SNAPSHOT]:
            snapshot = self._store.version(*place)
            snapshot.verify()
            listed = Snapshot.load(snapshot.path, root)
            for folder in (*listed.id_folders, *listed.day_folders):
                self.reasons.setdefault(Place(*folder.rsplit("/", 2)), "read by a snapshot")


def _keep_releases(kept: _Kept, standing: Standing, first: str) -> None:
    """The champion, the release before it, and all that were promoted in the last days, with what they came from."""
    back = standing.way_back(standing.current.day) if standing.current else None
    last = [move for found in (standing.promoted, standing.stands) for move in found.values() if move.day >= first]
    for move in [one for one in (standing.current, back, *last) if one is not None]:
        ref = ArtifactRef(RELEASE, move.day, move.digest)
        kept.reasons.setdefault(Place(RELEASE, move.day, move.version), "served, or to go back to")
        kept.with_ancestors(ref, "made a release")
        kept.decisions_on(ref)


def _keep_decisions(kept: _Kept, standing: Standing, newest: str, days: int) -> None:
    """Those within the gate's memory: its limits go by the best release of these days."""
    if not newest:
        return
    first = (date.fromisoformat(newest) - timedelta(days=days)).isoformat()
    for move in [move for move in standing.stands.values() if move.day >= first]:
        kept.decisions_on(ArtifactRef(RELEASE, move.day, move.digest))


def _by_key(graph: LineageGraph) -> list[list[ArtifactRef]]:
    found: dict[str, list[ArtifactRef]] = {}
    for ref, node in graph.nodes.items():
        if node.is_current:
            found.setdefault(ref.key, []).append(ref)
    return list(found.values())


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _doomed(graph: LineageGraph, kept: Collection[Place]) -> Iterable[Doomed]:
    for ref, node in graph.nodes.items():
        for version in node.versions:
            place = Place(ref.key, ref.partition, version.name)
            if place not in kept:
                size = sum(entry["bytes"] for entry in version.manifest.files.values())
                yield Doomed(place, version.is_current, size)
