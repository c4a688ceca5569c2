"""The service follows the champion between two requests, refuses what is damaged, and answers when parts fail."""

import threading
from datetime import date, timedelta
from pathlib import Path
from unittest.mock import patch

from recsys_pipeline.adapters.serving.releases import promote, rollback
from recsys_pipeline.core.serving.policy.sources.index import Index
from recsys_pipeline.service.server import _is_loopback
from recsys_pipeline_tests.release_fixtures import DAY, END_US, ITEM_IDS, USER_IDS, ratings
from recsys_pipeline_tests.service.running import promoted, running, until

DAY_US = 86_400_000_000


def day_after(n: int) -> str:
    return (date.fromisoformat(DAY) + timedelta(n)).isoformat()


def test_releases_are_swapped_while_requests_run_and_none_fails(home: Path) -> None:
    with running(home) as service:
        answers: list[tuple[int, str]] = []
        ended = threading.Event()

        def ask() -> None:
            while not ended.is_set():
                answer = service.client.get(f"/v1/users/{USER_IDS[1]}/recommendations")
                answers.append((answer.status_code, answer.json()["release"]))

        thread = threading.Thread(target=ask)
        thread.start()
        for n in (1, 2):
            promoted(service.store, home, day_after(n), end_us=END_US + n * DAY_US)
            until(lambda n=n: service.holder.opened.served.release.day == day_after(n))
        rollback(service.store)
        until(lambda: service.holder.opened.served.release.day == day_after(1), 2.0)
        until(lambda: answers[-1][1] == day_after(1))
        ended.set()
        thread.join()
        assert {status for status, _ in answers} == {200}
        assert [day for at, (_, day) in enumerate(answers) if at == 0 or answers[at - 1][1] != day] == [
            DAY, day_after(1), day_after(2), day_after(1)
        ]  # fmt: skip
        assert service.client.get("/v1/release").json()["swaps"] == 3


def test_a_damaged_release_is_refused_and_the_old_one_stays(home: Path) -> None:
    with running(home) as service:
        made = promoted(service.store, home, day_after(1), end_us=END_US + DAY_US)
        until(lambda: service.holder.opened.served.release.day == day_after(1))
        promote(service.store, DAY)
        until(lambda: service.holder.opened.served.release.day == DAY)
        with (made.path / "items" / "vectors.safetensors").open("r+b") as stream:
            stream.seek(200)
            stream.write(b"\0\1\2\3")
        service.holder.close()  # looks are taken by hand from here
        with patch("recsys_pipeline.adapters.serving.releases.verify"):
            promote(service.store, day_after(1))
        assert not service.holder.look()
        assert "vectors.safetensors is missing or corrupt" in service.holder.refused
        told = service.client.get("/v1/release").json()
        assert (told["release"], "vectors.safetensors" in told["refused"]) == (DAY, True)
        assert service.client.get(f"/v1/users/{USER_IDS[0]}/recommendations").status_code == 200


def test_a_policy_of_the_project_is_taken_and_a_wrong_one_refused(home: Path) -> None:
    with running(home) as service:
        service.holder.close()
        folder = home / "policies"
        folder.mkdir()
        (folder / "evening.yaml").write_text(
            "sources: [popular]\nscorers: [model]\norderers: [{pinned: {items: [item-5]}}]\n"
        )
        assert service.holder.look()
        answer = service.client.get("/v1/users/nobody/recommendations?policy=evening&k=1").json()
        assert [item["item_id"] for item in answer["items"]] == ["item-5"]
        (folder / "evening.yaml").write_text("sources: [populra]\nscorers: [model]\n")
        assert not service.holder.look()
        assert "sources know no 'populra'; similar are popular" in service.holder.refused
        assert service.client.get("/v1/users/nobody/recommendations?policy=evening").status_code == 200


def test_a_request_never_fails_because_a_part_did_and_still_withholds(home: Path) -> None:
    known = ratings()
    taken = {ITEM_IDS[item] for item in known.item[known.user == 1]}
    with running(home) as service, patch.object(Index, "candidates", side_effect=RuntimeError("gone")):
        answer = service.client.get(f"/v1/users/{USER_IDS[1]}/recommendations").json()
        assert (answer["degraded"], answer["skipped"]) == (True, ["sources.index"])
        assert len(answer["items"]) == 5
        assert not {item["item_id"] for item in answer["items"]} & taken
        assert 'recsys_degraded_lists_total{part="sources.index"} 1.0' in service.client.get("/metrics").text


def test_who_has_no_time_gets_what_is_popular(home: Path) -> None:
    with running(home, deadline_s=-1.0) as service:
        until(lambda: service.holder.is_warm)
        answer = service.client.get(f"/v1/users/{USER_IDS[1]}/recommendations").json()
        assert answer["skipped"] == ["sources.index", "scorers.model"]
        assert {item["source"] for item in answer["items"]} == {"popular"}


def test_it_listens_to_this_machine_alone() -> None:
    assert _is_loopback("127.0.0.1")
    assert _is_loopback("::1")
    assert _is_loopback("localhost")
    assert not _is_loopback("0.0.0.0")
    assert not _is_loopback("example.org")
