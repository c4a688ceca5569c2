"""The pointer to what is served: moved whole or not at all, forward by runs, back by people."""

import json
import threading
import time
from pathlib import Path

import pytest

from recsys_pipeline.adapters.serving import releases
from recsys_pipeline.adapters.serving.releases import (
    DECISION,
    POINTER,
    RELEASE,
    Standing,
    champion,
    decision_of,
    history,
    promote,
    promote_if_newer,
    rollback,
)
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.adapters.store.locks import exclusive
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.serving.gate import Decision
from recsys_pipeline_tests.adapters.release_artifacts import decided, promotable, released

DAYS = ["2026-01-05", "2026-01-06", "2026-01-07"]


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    url = str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path}"
    return ArtifactStore(url, cache=tmp_path / "cache")


@pytest.fixture
def local(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache")


def served(store: ArtifactStore) -> str | None:
    found = champion(store)
    return found and found.manifest.recipe.partition


def three_days(store: ArtifactStore) -> list[Artifact]:
    made = [promotable(store, day) for day in DAYS]
    assert [promote_if_newer(store, *one) for one in made] == ["promoted"] * 3
    return [release for release, _ in made]


def test_runs_move_the_pointer_forward(store: ArtifactStore) -> None:
    assert champion(store) is None
    three_days(store)
    assert served(store) == DAYS[-1]
    assert [move.day for move in history(store)] == DAYS


def test_a_run_for_an_older_day_leaves_the_pointer_and_stands_in_for_its_day(store: ArtifactStore) -> None:
    three_days(store)
    older = promotable(store, "2026-01-04")
    told = "passed, and stands in for 2026-01-04; 2026-01-07 is served: runs never go back in time"
    assert promote_if_newer(store, *older) == promote_if_newer(store, *older) == told
    assert served(store) == DAYS[-1]
    assert champion(store, before=DAYS[0]) == older[0]
    assert len(history(store)) == 4, "said once"


def test_what_stands_in_is_no_way_back(local: ArtifactStore) -> None:
    for day in (DAYS[2], DAYS[0], DAYS[1]):
        promote_if_newer(local, *promotable(local, day))
    with pytest.raises(ArtifactError, match="no promoted release of an earlier day than 2026-01-07"):
        rollback(local)
    assert served(local) == DAYS[2]


def test_what_stands_in_goes_with_a_move_back_in_time(local: ArtifactStore) -> None:
    made = {day: promotable(local, day) for day in (DAYS[0], DAYS[2], DAYS[1])}
    for one in made.values():
        promote_if_newer(local, *one)
    rollback(local)
    assert served(local) == DAYS[0]
    assert promote_if_newer(local, *made[DAYS[1]]).startswith("was withdrawn by hand")
    assert champion(local, before=DAYS[2]) == made[DAYS[0]][0]


def test_a_history_of_the_first_format_is_read(local: ArtifactStore) -> None:
    release, decision = promotable(local, DAYS[0])
    promote_if_newer(local, release, decision)
    document = json.loads((local.local_root / POINTER).read_bytes())
    moves = [{name: value for name, value in move.items() if name != "decision"} for move in document["moves"]]
    local.write_file(POINTER, json.dumps({"format": 1, "moves": moves}).encode())
    assert champion(local) == release
    assert promote_if_newer(local, *promotable(local, DAYS[1])) == "promoted"


def test_a_run_again_moves_nothing(store: ArtifactStore) -> None:
    release, decision = promotable(store, DAYS[0])
    promote_if_newer(store, release, decision)
    assert promote_if_newer(store, release, decision) == "is the champion already"
    assert len(history(store)) == 1


def test_another_making_of_the_same_day_takes_its_place(store: ArtifactStore) -> None:
    three_days(store)
    release, decision = promotable(store, DAYS[-1], text="mended")
    assert promote_if_newer(store, release, decision) == "promoted"
    found = champion(store)
    assert found is not None
    assert found.path.name == release.path.name


def test_of_several_decisions_the_current_one_counts(store: ArtifactStore) -> None:
    """As where a busy machine rejected a day between two runs that let it pass: the last run goes back to the first."""
    release = released(store, DAYS[0])
    for latency_ms in (1.0, 500.0, 2.0):
        decided(store, release, latency_ms=latency_ms)
        found = decision_of(store, DAYS[0], release.manifest.digest)
        assert found is not None
        assert Decision.load(found.path).promoted == (latency_ms < 100)
    assert promote(store, DAYS[0]) is not None


def test_what_the_gate_rejected_is_not_promoted(store: ArtifactStore) -> None:
    three_days(store)
    release, decision = promotable(store, "2026-01-08", good=False)
    assert promote_if_newer(store, release, decision).startswith("rejected: recall 0.500")
    assert served(store) == DAYS[-1]


def test_a_day_is_compared_with_the_newest_promoted_day_before_it(store: ArtifactStore) -> None:
    made = three_days(store)
    for day, expected in ((DAYS[0], None), (DAYS[1], made[0]), (DAYS[2], made[1]), ("2026-02-01", made[2])):
        found = champion(store, before=day)
        assert (found and found.manifest.ref) == (expected and expected.manifest.ref)


def test_going_back_serves_the_release_before_and_withdraws_what_it_left(store: ArtifactStore) -> None:
    made = three_days(store)
    move = rollback(store, why="complaints")
    assert (move.action, move.day, move.why, move.by_hand) == ("rollback", DAYS[1], "complaints", True)
    assert served(store) == DAYS[1]
    assert promote_if_newer(store, made[2], decided(store, made[2])).startswith("was withdrawn by hand")
    assert served(store) == DAYS[1]
    before = champion(store, before="2026-01-09")
    assert before is not None
    assert before.manifest.recipe.partition == DAYS[1], "later days are compared with what is served"
    assert rollback(store).day == DAYS[0]
    with pytest.raises(ArtifactError, match="no promoted release of an earlier day than 2026-01-05, which is served"):
        rollback(store)


def test_going_back_to_a_named_day(store: ArtifactStore) -> None:
    three_days(store)
    assert rollback(store, to=DAYS[0]).day == DAYS[0]
    assert Standing.of(history(store)).promoted.keys() == {DAYS[0]}


@pytest.mark.parametrize(("to", "said"), [("2026-01-03", "there are 2026-01-05, "), ("2026-01-07", "no way back")])
def test_a_day_that_is_no_way_back_is_refused(local: ArtifactStore, to: str, said: str) -> None:
    three_days(local)
    with pytest.raises(ArtifactError, match=said):
        rollback(local, to=to)


def test_there_is_no_way_back_from_nothing(local: ArtifactStore) -> None:
    with pytest.raises(ArtifactError, match="nothing is served yet"):
        rollback(local)


def test_a_person_brings_back_what_was_withdrawn(store: ArtifactStore) -> None:
    made = three_days(store)
    rollback(store)
    move = promote(store, DAYS[2], why="it was the network")
    assert move is not None
    assert move.day == DAYS[2]
    assert served(store) == DAYS[2]
    assert promote_if_newer(store, made[2], decided(store, made[2])) == "is the champion already"


def test_a_rejected_release_takes_force_and_a_reason(store: ArtifactStore) -> None:
    promotable(store, DAYS[0], good=False)
    for force, why in ((False, ""), (True, ""), (False, "I know better")):
        with pytest.raises(ArtifactError, match=r"recall 0\.500 .*--force --why"):
            promote(store, DAYS[0], why, force)
    assert champion(store) is None
    move = promote(store, DAYS[0], "the test was wrong", force=True)
    assert move is not None
    assert (move.forced, move.why) == (True, "the test was wrong")


def test_what_is_served_already_is_promoted_to_no_effect(store: ArtifactStore) -> None:
    promotable(store, DAYS[0], good=False)
    assert promote(store, DAYS[0], "the test was wrong", force=True) is not None
    assert promote(store, DAYS[0]) is None, "and takes no force again"
    assert len(history(store)) == 1


def test_an_undecided_release_takes_force_too(local: ArtifactStore) -> None:
    released(local, DAYS[0])
    with pytest.raises(ArtifactError, match="the gate has not decided on it"):
        promote(local, DAYS[0])


def test_a_damaged_target_is_not_served(local: ArtifactStore) -> None:
    made = three_days(local)
    file = made[1].path / "vectors.txt"
    file.write_text(file.read_text().replace("2026", "2027"))
    with pytest.raises(ArtifactError, match=str(file)):
        rollback(local)
    assert served(local) == DAYS[2]
    assert rollback(local, to=DAYS[0]).day == DAYS[0]


def test_a_damaged_pointer_names_itself(local: ArtifactStore) -> None:
    three_days(local)
    path = Path(local.root) / POINTER
    path.write_text(path.read_text()[:-40])
    with pytest.raises(ArtifactError, match=r"champion\.json is not readable"):
        champion(local)


def test_a_changed_byte_anywhere_in_the_pointer_is_found(local: ArtifactStore) -> None:
    three_days(local)
    path = Path(local.root) / POINTER
    whole = path.read_bytes()
    for at in range(len(whole)):
        if whole[at : at + 1].isspace():
            continue  # the layout means nothing
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x01]) + whole[at + 1 :])
        with pytest.raises(ArtifactError, match=r"champion\.json is not readable"):
            history(local)


def test_what_a_killed_writer_left_beside_a_decision_stops_nobody(local: ArtifactStore) -> None:
    promotable(local, DAYS[0])
    (Path(local.root) / DECISION / DAYS[0] / ".current-host~1~abc").write_text("half")
    move = promote(local, DAYS[0])
    assert move is not None
    assert move.day == DAYS[0]


def test_killed_before_the_pointer_moves_the_old_release_is_served(
    local: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_days(local)
    release, decision = promotable(local, "2026-01-08")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            promote_if_newer(local, release, decision)
    assert served(local) == DAYS[-1]
    assert promote_if_newer(local, release, decision) == "promoted"
    assert served(local) == "2026-01-08"


def test_many_promotions_at_once_are_all_taken_in_some_order(local: ArtifactStore) -> None:
    made = [promotable(local, f"2026-02-{day:02d}") for day in range(1, 9)]
    outcomes: list[str] = []
    threads = [threading.Thread(target=lambda one=one: outcomes.append(promote_if_newer(local, *one))) for one in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert served(local) == "2026-02-08"
    days = [move.day for move in history(local) if move.serves]
    assert days == sorted(days), "none went back in time"
    assert len(outcomes) == len(history(local)) == 8, "the others stand in for their days"
    assert outcomes.count("promoted") == len(days)


def test_who_waits_too_long_is_told_for_whom(local: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "LOCK_WAIT_S", 0.0)
    made = promotable(local, DAYS[0])
    with (
        exclusive(local.local_root / releases.LOCK, "moving the champion"),
        pytest.raises(ArtifactError, match=r"held by moving the champion: process"),
    ):
        promote_if_newer(local, *made)


def test_going_back_takes_less_than_a_second(local: ArtifactStore) -> None:
    three_days(local)
    started = time.monotonic()
    rollback(local)
    assert time.monotonic() - started < 1


def test_a_reader_never_meets_half_a_pointer(local: ArtifactStore) -> None:
    """Each write is seen whole: a reader beside the writer parses every time."""
    made = [promotable(local, f"2026-03-{day:02d}") for day in range(1, 20)]
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not done.is_set():
            seen.append(len(history(local)))

    reader = threading.Thread(target=read)
    reader.start()
    for one in made:
        promote_if_newer(local, *one)
    done.set()
    reader.join()
    assert seen == sorted(seen)
    assert local.partitions(RELEASE) == [f"2026-03-{day:02d}" for day in range(1, 20)]
