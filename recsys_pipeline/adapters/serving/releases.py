"""Which release is served: one small file with its whole history, moved atomically; and the way back.

    <store root>/serving/champion.json

The file is a list of moves, oldest first; the last promotion or way back says what is served. A move back in time
withdraws the releases that it leaves behind: they are not compared with any more, and no run promotes them again; a
person may. A day that passes the gate while a later one is served stands in for what would have been promoted had days
come in order: models go on from it and later days are compared with it, and nothing of it is served.
"""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.adapters.store.locks import waiting
from recsys_pipeline.adapters.store.manifest import MANIFEST_NAME, Manifest, with_checksum, without_checksum
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.keys import ArtifactRef
from recsys_pipeline.core.serving.gate import Decision
from recsys_pipeline.core.serving.release_document import read_release_document

RELEASE, DECISION = "serving/release", "serving/decision"
POINTER, LOCK = "serving/champion.json", ".champion.lock"
FORMAT, READ = 2, (1, 2)
"""Format 1 knew no days that stand in."""
LOCK_WAIT_S = 10.0
PROMOTE, ROLLBACK, STAND_IN = "promote", "rollback", "stand_in"
PROMOTED = "promoted"
WAYS_OUT = "make it again (`recsys run batch_daily {}`) or serve another (`recsys release rollback`, or `promote DAY`)"


@dataclass(frozen=True)
class Move:
    """One move of the pointer, to a version of the release of a day."""

    action: str
    day: str
    version: str
    digest: str
    at: str
    """When, UTC; nothing depends on it."""
    why: str = ""
    by_hand: bool = False
    forced: bool = False
    """Whether a person promoted what the gate had rejected."""
    decision: str = ""
    """Version of the decision by which it was moved; empty where there was none, or the move is of format 1."""

    @property
    def serves(self) -> bool:
        """Whether it changed what is served."""
        return self.action != STAND_IN


def history(store: ArtifactStore) -> list[Move]:
    """Every move, oldest first; raises `ArtifactError` naming the file where it cannot be read."""
    content = store.read_file(POINTER)
    if content is None:
        return []
    try:
        document = without_checksum(json.loads(content))
        if document["format"] not in READ:
            raise ValueError(f"format {document['format']}, expected one of {READ}")
        if unknown := sorted(document.keys() - {"format", "moves"}):
            raise ValueError(f"it has the unknown keys {unknown}")
        return [Move(**move) for move in document["moves"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{store.root}/{POINTER} is not readable ({error}): restore it from a copy, or move it away and choose "
            "what is served with `recsys release promote DAY`"
        ) from error


@dataclass(frozen=True)
class Standing:
    """What a history comes to."""

    current: Move | None
    """The move that says what is served."""
    promoted: dict[str, Move]
    """By day, releases that were promoted and not withdrawn."""
    stands: dict[str, Move]
    """By day, what later days are compared with and go on from: the last that was promoted or stands in for it."""
    withdrawn: frozenset[str]
    """Digests that no run promotes again."""

    @classmethod
    def of(cls, moves: list[Move]) -> "Standing":
        """Replay the moves."""
        current: Move | None = None
        promoted: dict[str, Move] = {}
        stands: dict[str, Move] = {}
        withdrawn: set[str] = set()
        for move in moves:
            stands[move.day] = move
            if not move.serves:
                continue
            current = move
            withdrawn |= {other.digest for found in (promoted, stands) for other in _later(found, move.day).values()}
            withdrawn.discard(move.digest)
            promoted = _up_to(promoted, move.day) | {move.day: move}
            stands = _up_to(stands, move.day)
        return cls(current, promoted, stands, frozenset(withdrawn))

    def newest(self, before: str) -> Move | None:
        """What stands for the newest day before the given one."""
        return _newest(self.stands, before)

    def way_back(self, before: str) -> Move | None:
        """The newest promoted release of a day before the given one."""
        return _newest(self.promoted, before)


def _later(found: Mapping[str, Move], day: str) -> dict[str, Move]:
    return {other: move for other, move in found.items() if other > day}


def _up_to(found: Mapping[str, Move], day: str) -> dict[str, Move]:
    return {other: move for other, move in found.items() if other <= day}


def _newest(found: Mapping[str, Move], before: str) -> Move | None:
    days = [day for day in found if day < before]
    return found[max(days)] if days else None


def champion(store: ArtifactStore, before: str | None = None) -> Artifact | None:
    """The release that is served; with `before`, the newest of an earlier day that was promoted or stands in for it.

    So a day that is computed again, or backfilled, is compared with what it would have been compared with in order.
    Raises `ArtifactError` where the pointer or the release that it names is damaged or gone.
    """
    standing = Standing.of(history(store))
    move = standing.current if before is None else standing.newest(before)
    return None if move is None else released(store, move)


def points_to(move: Move | None, release: Artifact) -> bool:
    """Whether a move is to this very version of a release."""
    return move is not None and (move.day, move.version) == (release.manifest.recipe.partition, release.path.name)


def released(store: ArtifactStore, move: Move) -> Artifact:
    """The release that a move points to; raises `ArtifactError` with the ways out where its files are not all there."""
    what = f"{RELEASE}@{move.day} was promoted, and {{}}: {WAYS_OUT.format(move.day)}"
    try:
        release = store.version(RELEASE, move.day, move.version)
    except ArtifactError as error:
        raise ArtifactError(what.format(str(error).partition(": materialize")[0])) from error
    if not release.has_all_files():
        raise ArtifactError(what.format(f"{release.path} has lost files, or parts of them"))
    return release


def decision_of(store: ArtifactStore, day: str, digest: str) -> Artifact | None:
    """The decision on the release of a day with this digest; None where none is left.

    The current one where that is about it; else the one by which the release was last moved; else any. No clock has a
    say: it may have been set back.
    """
    about, current = ArtifactRef(RELEASE, day, digest), store.current_version(DECISION, day)
    found = [name for name, manifest in versions(store, DECISION, day).items() if about in manifest.recipe.inputs]
    if not found:
        return None
    if current in found:
        return store.version(DECISION, day, current)
    moved = [move.decision for move in history(store) if (move.day, move.digest) == (day, digest)]
    return store.version(DECISION, day, next((one for one in reversed(moved) if one in found), max(found)))


def versions(store: ArtifactStore, key: str, partition: str) -> dict[str, Manifest]:
    """Manifests of every version of an artifact, by the version's name."""
    base = f"{store.root}/{key}/{partition}"
    if not store.fs.exists(base):
        return {}
    names = [entry.rstrip("/").rsplit("/", 1)[-1] for entry in store.fs.ls(base, detail=False)]
    texts = {
        name: store.read_file(f"{key}/{partition}/{name}/{MANIFEST_NAME}") for name in sorted(names) if "-" in name
    }
    return {name: Manifest.parse(text, f"{base}/{name}") for name, text in texts.items() if text is not None}


# -- moving the pointer -----------------------------------------------------------------------------------------------


def promote_if_newer(store: ArtifactStore, release: Artifact, decision: Decision, why: str = "") -> str:
    """What a run does after the gate: move the pointer forward, never back; says in words what became of it.

    A release of a day before the champion's is not served: it stands in for its day. One that was withdrawn by hand
    stays where it is.
    """
    with _moving(store) as moves:
        standing, day = Standing.of(moves), release.manifest.recipe.partition
        if not decision.promoted:
            return f"rejected: {decision.why_not}"
        if points_to(standing.current, release):
            return "is the champion already"
        if release.manifest.digest in standing.withdrawn:
            return f"was withdrawn by hand; `recsys release promote {day}` brings it back"
        decided = store.current_version(DECISION, day) or ""
        if standing.current and day < standing.current.day:
            if not points_to(standing.stands.get(day), release):
                moves.append(_move(STAND_IN, release, why, decision=decided))
            return f"passed, and stands in for {day}; {standing.current.day} is served: runs never go back in time"
        moves.append(_move(PROMOTE, release, why, decision=decided))
        return PROMOTED


def promote(store: ArtifactStore, day: str, why: str = "", force: bool = False) -> Move | None:
    """Serve the current release of a day because a person says so, back in time too; None where it is served already.

    Raises `ArtifactError` where its files do not verify, and where the gate rejected it (or never saw it), unless
    `force` is given with a reason, which is recorded.
    """
    release = store.get(RELEASE, day)
    with _moving(store) as moves:
        if points_to(Standing.of(moves).current, release):
            return None
        decision = decision_of(store, day, release.manifest.digest)
        refused = "the gate has not decided on it" if decision is None else Decision.load(decision.path).why_not
        if refused and not (force and why):
            raise ArtifactError(
                f"{RELEASE}@{day} was not promoted: {refused}. To serve it all the same: --force --why TEXT"
            )
        verify(release)
        decided = decision.path.name if decision else ""
        moves.append(_move(PROMOTE, release, why, by_hand=True, forced=bool(refused), decision=decided))
        return moves[-1]


def rollback(store: ArtifactStore, to: str | None = None, why: str = "") -> Move:
    """Serve what was served before: the newest promoted release of an earlier day, or that of the day `to`.

    The target's files are verified first. Raises `ArtifactError` where there is nothing to go back to.
    """
    with _moving(store) as moves:
        standing = Standing.of(moves)
        if standing.current is None:
            raise ArtifactError("nothing is served yet: there is nothing to go back from")
        if to is not None and to >= standing.current.day:
            raise ArtifactError(f"{standing.current.day} is served; {to} is no way back: use `recsys release promote`")
        target = standing.way_back(standing.current.day) if to is None else standing.promoted.get(to)
        if target is None:
            raise ArtifactError(_no_way_back(standing, standing.current.day, to))
        release = released(store, target)
        verify(release)
        moves.append(_move(ROLLBACK, release, why, by_hand=True, decision=target.decision))
        return moves[-1]


def _no_way_back(standing: Standing, served: str, to: str | None) -> str:
    earlier = ", ".join(sorted(day for day in standing.promoted if day < served))
    if earlier:
        return f"no promoted release of {to} to go back to; there are {earlier}"
    return (
        f"no promoted release of an earlier day than {served}, which is served, to go back to; another day's is served "
        "with `recsys release promote DAY`, and `recsys release list` shows them"
    )


def pretend_promoted(store: ArtifactStore, releases: Mapping[str, tuple[str, str]]) -> None:
    """Make a store in which these releases (digest and version, by day) were promoted in order: to decide again."""
    with _moving(store) as moves:
        for day, (digest, version) in sorted(releases.items()):
            moves.append(Move(PROMOTE, day, version, digest, ""))


def verify(release: Artifact) -> None:
    """Compare every file of a release with its manifest; raises `ArtifactError` naming a file that differs."""
    release.verify()
    read_release_document(release.path, verify=False)


def _move(
    action: str, release: Artifact, why: str = "", by_hand: bool = False, forced: bool = False, decision: str = ""
) -> Move:
    day, at = release.manifest.recipe.partition, datetime.now(UTC).isoformat(timespec="seconds")
    return Move(action, day, release.path.name, release.manifest.digest, at, why, by_hand, forced, decision)


@contextmanager
def _moving(store: ArtifactStore) -> Iterator[list[Move]]:
    """The moves, to be appended to; written when the body ends well and has changed them. One process at a time.

    The lock holds among the processes of one machine; on an object store the last of two machines wins.
    """
    path, what = store.local_root / LOCK, f"moving the champion, process {os.getpid()}"
    with waiting(path, what, LOCK_WAIT_S, ArtifactError):
        moves = history(store)
        before = len(moves)
        yield moves
        if len(moves) != before:
            document = with_checksum({"format": FORMAT, "moves": [dataclasses.asdict(move) for move in moves]})
            store.write_file(POINTER, (json.dumps(document, indent=1) + "\n").encode())
