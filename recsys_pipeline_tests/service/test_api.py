"""What the API answers, over loopback."""

from typing import Any

import httpx
import pytest

from recsys_pipeline.core.serving.recommend import recommend
from recsys_pipeline.service.problems import MOST_BYTES
from recsys_pipeline_tests.release_fixtures import USER_IDS
from recsys_pipeline_tests.service.running import Service

STRANGE_IDS = ["a/b", "a b", "ü?#%", "..", "x" * 5_000, "user-1/recommendations"]


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["items"]]


def test_a_users_list_is_the_one_that_is_exported(service: Service) -> None:
    release = service.holder.opened.served.release
    for user in [*USER_IDS[:5], "somebody new"]:
        wanted = recommend(release, None, [user], release.config.k)
        answer = service.client.get(f"/v1/users/{user}/recommendations")
        assert ids(answer) == wanted.of(0)
        assert answer.json()["made_for"] == wanted.why[0]
        assert not answer.json()["degraded"]


@pytest.mark.parametrize("user", STRANGE_IDS)
def test_ids_may_hold_anything(service: Service, user: str) -> None:
    from urllib.parse import quote

    answer = service.client.get(f"/v1/users/{quote(user, safe='')}/recommendations?k=2")
    if user == "..":  # by the standard of addresses that is the folder above, however it is written
        assert answer.status_code == 405
        assert answer.json()["title"] == "method not allowed"
        answer = service.client.post("/v1/recommendations", json={"user_id": user, "k": 2})
    assert len(ids(answer)) == 2
    assert answer.json()["user_id"] == user


def test_who_is_not_known_is_folded_in_on_what_the_request_tells(service: Service) -> None:
    body = {"history": ["item-9", "item-10", "item-11"], "k": 3, "context": {"device": "tv"}}
    answer = service.client.post("/v1/recommendations", json=body)
    assert answer.json()["made_for"] == "told"
    assert not {*ids(answer)} & {*body["history"]}
    assert answer.json()["items"][0]["reason"]["text"].startswith("Because you took Title of item-")


def test_predicates_hold(service: Service) -> None:
    where = [{"column": "price", "operator": "at_most", "value": 14},
             {"column": "category", "operator": "in", "value": ["lamp"]}]  # fmt: skip
    answer = service.client.post("/v1/recommendations", json={"where": where, "k": 20})
    assert {*ids(answer)} == {"item-0", "item-2", "item-4"}


def test_related_items_and_search(service: Service) -> None:
    related = service.client.get("/v1/items/item-0/related?k=3")
    assert len(ids(related)) == 3
    assert "item-0" not in ids(related)
    assert ids(service.client.get("/v1/search?q=item-7&k=1")) == ["item-7"]
    assert ids(service.client.get("/v1/search?q=submarine")) == []


def test_the_same_request_id_gives_the_same_draws(service: Service) -> None:
    body: dict[str, Any] = {"user_id": USER_IDS[0], "request_id": "again"}
    first, second = (service.client.post("/v1/recommendations", json=body).json() for _ in range(2))
    assert first["items"] == second["items"]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v1/users/u/recommendations?k=0", 422, "query.k: Input should be greater than or equal to 1"),
        ("/v1/users/u/recommendations?k=-1", 422, "query.k"),
        ("/v1/users/u/recommendations?k=10000", 422, "less than or equal to 1000"),
        ("/v1/users/u/recommendations?k=many", 422, "query.k"),
        ("/v1/users/u/recommendations?policy=serach", 404, "there is no policy 'serach'; similar are search"),
        ("/v1/items/nowhere/related", 404, "what is served has no item 'nowhere'"),
        ("/v1/search", 422, "query.q: Field required"),
    ],
)
def test_what_cannot_be_answered_is_told_by_field(service: Service, path: str, status: int, said: str) -> None:
    answer = service.client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"k": 0}, "body.k"),
        ({"histroy": []}, "body.histroy: Extra inputs are not permitted"),
        ({"where": [{"column": "price", "operator": "in", "value": 3}]}, "price takes no 'in'"),
        ({"where": [{"column": "colour", "operator": "in", "value": []}]}, "body.where.0.column"),
        ({"history": ["a"] * 1_001}, "body.history"),
        ([], "body"),
    ],
)
def test_a_body_that_says_nothing_is_told_by_field(service: Service, body: Any, said: str) -> None:
    answer = service.client.post("/v1/recommendations", json=body)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


@pytest.mark.parametrize("content", [b'{"context": {"age": NaN}}', b"{", b"\xff\xfe", b""])
def test_a_body_that_is_no_json_is_refused(service: Service, content: bytes) -> None:
    answer = service.client.post("/v1/recommendations", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text


def test_a_body_has_a_bound_whether_it_says_its_length_or_not(service: Service) -> None:
    large = b"x" * (MOST_BYTES + 1)
    assert service.client.post("/v1/events", content=large).status_code == 413
    assert service.client.post("/v1/events", content=(large[:1000] for _ in range(1_100))).status_code == 413


def test_how_it_stands_is_told(service: Service) -> None:
    assert service.client.get("/healthz").json() == {"status": "ok"}
    assert service.client.get("/readyz").json() == {"status": "ready"}
    found = service.client.get("/v1/release").json()
    assert found["release"] == service.holder.opened.served.release.day
    assert found["refused"] == ""
    assert set(found["policies"]) == {"default", "related", "search"}
    service.client.get("/v1/users/somebody/recommendations")
    counted = service.client.get("/metrics").text
    assert 'recsys_requests_total{route="/v1/users/{user_id:path}/recommendations",status="200"}' in counted
    assert "somebody" not in counted, "ids would make a series each"
    assert service.client.get("/openapi.json").json()["info"]["title"] == "recsys"
    assert service.client.get("/docs").status_code == 200
