"""Lists under a policy: by score alone those of `recommend`, filters hold whatever fails, all is repeatable."""

import dataclasses
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.hashing import text_hashes
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.serving.offer import Offer
from recsys_pipeline.core.serving.policy import lists
from recsys_pipeline.core.serving.policy.filters.taken import Taken
from recsys_pipeline.core.serving.policy.lists import ServedList, make_list
from recsys_pipeline.core.serving.policy.policy import Policy, default_policy, parse_policy
from recsys_pipeline.core.serving.policy.request import Predicate, Request
from recsys_pipeline.core.serving.policy.scorers.model import Model
from recsys_pipeline.core.serving.policy.sources import index
from recsys_pipeline.core.serving.policy.sources.index import Index
from recsys_pipeline.core.serving.recommend import recommend
from recsys_pipeline_tests.overlay_double import OVERLAY, Changes
from recsys_pipeline_tests.release_fixtures import (
    END_US,
    ITEM_IDS,
    N_ITEMS,
    N_USERS,
    NEW_ITEM_IDS,
    OFF_SALE,
    USER_IDS,
    ratings,
    tiny_release,
)

EVERYBODY = [*USER_IDS, "stranger", "newcomer"]
CATEGORY = {item: "chair" if row % 2 else "lamp" for row, item in enumerate([*ITEM_IDS, *NEW_ITEM_IDS])}
RICH = {
    "name": "rich",
    "seed": 7,
    "sources": ["index", "popular", "trending", "new_items", "similar"],
    "filters": ["on_sale", "taken", "avoided", "asked_for", {"stop_list": {"items": ["item-6"]}}],
    "scorers": ["model", {"boost": {"weight": 0.3, "categories": ["lamp"]}}],
    "orderers": [{"mmr": {"relevance": 0.7, "pool": 10}}, {"category_cap": {"most": 3}}, {"explore": {"share": 0.5}}],
}


@pytest.fixture(scope="module")
def offers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Offer]:
    """Of a release alone, of one with an overlay, and of one with a wish and both."""
    release = tiny_release(tmp_path_factory.mktemp("release"))
    wishes = Ratings(
        np.array([0, 0], np.int32), np.array([1, 10], np.int32), np.ones(2, np.float32),
        ratings().timestamp_us[:2], N_USERS, N_ITEMS,
    )  # fmt: skip
    hidden = tiny_release(tmp_path_factory.mktemp("hidden"), avoided=wishes)
    rising = dataclasses.replace(OVERLAY, trending=("item-8", "fresh-0"))
    return {"release": Offer.of(release, None, 1), "overlay": Offer.of(release, rising, 1),
            "hidden": Offer.of(hidden, rising, 1)}  # fmt: skip


def asked(user: str = "user-1", **more: Any) -> Request:
    return Request(**{"request_id": "r-1", "at_us": END_US, "user_id": user, "k": 5, **more})


def ids(found: ServedList) -> list[str]:
    return [place.item_id for place in found.places]


@pytest.mark.parametrize("name", ["release", "overlay", "hidden"])
@pytest.mark.parametrize("k", [1, 5, 50])
@pytest.mark.parametrize("first", [1, 100])
def test_by_score_alone_a_list_is_the_one_that_is_exported(
    offers: dict[str, Offer], name: str, k: int, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (lists, index):
        monkeypatch.setattr(module, "FIRST", first)  # 1: more must be asked for
    offer = offers[name]
    wanted = recommend(offer.release, offer.overlay, EVERYBODY, k)
    for at, user in enumerate(EVERYBODY):
        found = make_list(offer, default_policy(), asked(user, k=k))
        assert ids(found) == wanted.of(at)
        assert found.why == wanted.why[at]
        assert [place.score for place in found.places] == wanted.scores[at][wanted.scores[at] > -np.inf].tolist()


def test_the_same_request_gives_the_same_list_and_another_id_other_draws(offers: dict[str, Offer]) -> None:
    policy = parse_policy(RICH)
    once = make_list(offers["overlay"], policy, asked())
    assert make_list(offers["overlay"], policy, asked()).places == once.places
    others = {tuple(ids(make_list(offers["overlay"], policy, asked(request_id=f"r-{n}")))) for n in range(20)}
    assert len(others) > 3


@given(
    user=st.sampled_from(EVERYBODY),
    k=st.integers(1, 30),
    history=st.lists(st.sampled_from([*ITEM_IDS, "fresh-0", "nowhere"]), max_size=4),
    failing=st.sets(st.sampled_from(["sources", "scorers", "orderers"])),
    until=st.sampled_from([-1.0, 1.0]),
    number=st.integers(0, 1000),
)
def test_what_must_not_be_shown_is_not_shown_whatever_fails_or_is_late(
    offers: dict[str, Offer], user: str, k: int, history: list[str], failing: set[str], until: float, number: int
) -> None:
    offer, known = offers["hidden"], ratings()
    request = asked(user, k=k, history=tuple(history), request_id=f"r-{number}")
    with_failures = _failing(parse_policy(RICH), failing)
    found = make_list(offer, with_failures, request, until=until)
    taken = {ITEM_IDS[item] for item in known.item[known.user == USER_IDS.index(user)]} if user in USER_IDS else set()
    avoided = {"item-1", "item-10"} if user == "user-0" else set()
    since = {item for other, item in OVERLAY.pairs if other == user}
    gone = {"item-1", "item-12", "item-6"}
    assert not {*ids(found)} & (taken | avoided | since | gone | {*history})
    assert len({*ids(found)}) == len(ids(found)) <= k
    assert found.degraded == (bool(failing) or until < 0)
    again = make_list(offer, parse_policy(RICH), request, skip=found.skipped)
    assert again.places == found.places, "what was skipped is skipped again"


def _failing(policy: Policy, kinds: set[str]) -> Policy:
    """The same policy, of which the first part of some kinds fails."""

    def broken(*_: Any) -> Any:
        raise RuntimeError("the disk is gone")

    for kind in kinds:
        parts = list(getattr(policy, kind))
        broken_part = type("Broken", (type(parts[0]),), {"candidates": broken, "scores": broken, "order": broken})
        broken_part.NAME = parts[0].NAME
        parts[0] = broken_part(**dataclasses.asdict(parts[0]))
        policy = dataclasses.replace(policy, **{kind: tuple(parts)})
    return policy


def test_where_a_filter_fails_the_list_is_empty_and_says_so(offers: dict[str, Offer]) -> None:
    with patch.object(Taken, "keeps", side_effect=OSError("the disk is gone")):
        found = make_list(offers["release"], default_policy(), asked())
    assert found.places == ()
    assert found.skipped == ("filters.taken",)
    assert "the disk is gone" in found.trace.failed["filters.taken"]
    assert make_list(offers["release"], default_policy(), asked(), skip=found.skipped).places == ()


def test_where_all_sources_and_scorers_fail_what_is_popular_is_shown(offers: dict[str, Offer]) -> None:
    offer = offers["release"]
    with (
        patch.object(Index, "candidates", side_effect=RuntimeError),
        patch.object(Model, "scores", side_effect=OSError),
    ):
        found = make_list(offer, default_policy(), asked())
    assert found.skipped == ("sources.index", "scorers.model")
    assert {place.source for place in found.places} == {"popular"}
    popular = [item for item in offer.ids(offer.by_popularity[None])[0] if item not in _taken_by("user-1")]
    assert ids(found) == popular[:5]


def _taken_by(user: str) -> set[str]:
    known = ratings()
    return {ITEM_IDS[item] for item in known.item[known.user == USER_IDS.index(user)]}


def test_guards_stand_in_every_policy(offers: dict[str, Offer]) -> None:
    bare = parse_policy({"name": "bare", "sources": ["popular"], "scorers": ["model"]})
    found = make_list(offers["hidden"], bare, asked("user-0", k=50))
    assert not {*ids(found)} & {"item-1", "item-10", "item-12"}
    assert {*ids(found)} & _taken_by("user-0") - {item for _, item in OVERLAY.pairs}, "it may be shown again"


def test_a_user_is_folded_in_on_what_the_request_tells(offers: dict[str, Offer]) -> None:
    """Users of the second group took items 9 to 17: who tells of three of them is shown others of them."""
    offer, told = offers["release"], ("item-9", "item-10", "item-11")
    found = make_list(offer, default_policy(), asked("", history=told, k=4))
    assert found.why == "told"
    assert ids(found)[0] in {f"item-{row}" for row in range(12, 18)}
    assert not {*ids(found)} & {f"item-{row}" for row in range(9)}, "of the other half of the items"
    assert {place.reason.item_id for place in found.places} <= {*told}
    wanted = offer.release.model.fold_in(
        Ratings(np.zeros(3, np.int32), np.array([9, 10, 11], np.int32), np.ones(3, np.float32),
                np.full(3, offer.release.end_us - 1), 1, N_ITEMS)
    )  # fmt: skip
    score = float(wanted[0].astype(np.float64) @ offer.release.item_vectors[ITEM_IDS.index(found.places[0].item_id)])
    assert found.places[0].score == pytest.approx(score, rel=1e-6)


def test_what_is_told_of_unknown_items_says_nothing(offers: dict[str, Offer]) -> None:
    found = make_list(offers["release"], default_policy(), asked("", history=("never-heard-of",)))
    assert found.why == "popular"


PREDICATES: list[tuple[Predicate, Callable[[str], bool]]] = [
    (Predicate("category", "in", ("chair",)), lambda item: CATEGORY[item] == "chair"),
    (Predicate("category", "not_in", ("chair", "sofa")), lambda item: CATEGORY[item] == "lamp"),
    (Predicate("price", "at_most", 14), lambda item: item in ITEM_IDS[:5]),
    (Predicate("price", "at_least", 20), lambda item: item not in ITEM_IDS[:10]),
    (Predicate("created_at", "at_least", 0), lambda _: False),
]


@pytest.mark.parametrize(("predicate", "holds"), PREDICATES, ids=[f"{p.column} {p.operator}" for p, _ in PREDICATES])
def test_a_list_satisfies_the_requests_predicates_and_is_as_long_as_it_can_be(
    offers: dict[str, Offer], predicate: Predicate, holds: Callable[[str], bool]
) -> None:
    found = make_list(offers["release"], default_policy(), asked(k=50, where=(predicate,)))
    there = {*ITEM_IDS, *NEW_ITEM_IDS} - {OFF_SALE} - _taken_by("user-1")
    assert {*ids(found)} == {item for item in there if holds(item)}


def test_related_items_are_near_and_exclude_the_one_they_are_about(offers: dict[str, Offer]) -> None:
    policy = parse_policy({"name": "related", "sources": ["similar"], "filters": ["taken"], "scorers": ["likeness"]})
    found = make_list(offers["release"], policy, asked("", around="item-0", k=5))
    vectors = offers["release"].release.item_vectors.astype(np.float64)
    cosine = vectors @ vectors[0] / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vectors[0])
    order = np.lexsort((text_hashes([*ITEM_IDS, *NEW_ITEM_IDS]), -cosine.astype(np.float32)))
    best = [row for row in order if row not in (0, ITEM_IDS.index(OFF_SALE))][:5]
    assert ids(found) == offers["release"].ids(np.array([best]))[0].tolist()
    assert {place.reason.item_id for place in found.places} == {"item-0"}
    assert make_list(offers["release"], policy, asked("", around="nowhere")).places == ()


def test_search_finds_words_and_nothing_else(offers: dict[str, Offer]) -> None:
    policy = parse_policy({"name": "search", "sources": ["words"], "scorers": ["words"]})
    found = make_list(offers["overlay"], policy, asked("", query="chair item-7", k=5))
    assert ids(found)[0] == "item-7"
    assert {CATEGORY[item] for item in ids(found)} == {"chair"}
    assert ids(make_list(offers["overlay"], policy, asked("", query="fres", k=2))) == ["fresh-0", "fresh-1"], "begun"
    assert make_list(offers["overlay"], policy, asked("", query="submarine")).places == ()
    assert make_list(offers["overlay"], policy, asked("", query="..."), skip=()).places == ()


def test_a_cap_holds_while_there_is_something_else(offers: dict[str, Offer]) -> None:
    policy = parse_policy({**RICH, "orderers": [{"category_cap": {"most": 2}}]})
    found = ids(make_list(offers["release"], policy, asked(k=4)))
    assert sorted(CATEGORY[item] for item in found) == ["chair", "chair", "lamp", "lamp"]
    longer = ids(make_list(offers["release"], policy, asked(k=40)))
    assert len(longer) == len({*ITEM_IDS, *NEW_ITEM_IDS} - {OFF_SALE, "item-6"} - _taken_by("user-1"))


def test_pinned_items_come_first_where_they_may_be_shown(offers: dict[str, Offer]) -> None:
    pins = ["item-3", "new-1", "nowhere", "new-0"]
    policy = parse_policy({**RICH, "orderers": [{"pinned": {"items": pins}}]})
    assert ids(make_list(offers["release"], policy, asked()))[:2] == ["new-1", "new-0"]


def test_boosts_last_from_a_day_to_a_day_and_where_the_context_fits(offers: dict[str, Offer]) -> None:
    boost = {
        "weight": 100.0,
        "categories": ["lamp"],
        "start": "2026-01-06",
        "end": "2026-01-07",
        "context": "device=tv",
    }
    policy = parse_policy({**RICH, "scorers": ["model", {"boost": boost}], "orderers": []})

    def lamps(at_us: int, device: str) -> int:
        found = ids(make_list(offers["release"], policy, asked(k=3, at_us=at_us, context={"device": device})))
        return sum(CATEGORY[item] == "lamp" for item in found)

    assert lamps(END_US, "tv") == 3
    assert lamps(END_US - 1, "tv") == lamps(END_US + 86_400_000_000, "tv") == lamps(END_US, "phone") < 3


def test_propensities_are_the_chances_of_the_draws(offers: dict[str, Offer]) -> None:
    """Over many requests each item stands at a place as often as the log says, on average."""
    policy = parse_policy({**RICH, "orderers": [{"explore": {"share": 0.4, "pool": 6}}]})
    n, first, expected = 800, dict[str, int](), dict[str, float]()
    for number in range(n):
        found = make_list(offers["release"], policy, asked(k=2, request_id=f"r-{number}")).places
        first[found[0].item_id] = first.get(found[0].item_id, 0) + 1
        expected[found[0].item_id] = found[0].propensity
    assert len(first) == 6
    assert sum(expected.values()) == pytest.approx(1.0, abs=1e-6)
    for item, times in first.items():
        chance = expected[item]
        assert abs(times - n * chance) < 4 * np.sqrt(n * chance * (1 - chance))


def test_nothing_explores_above_the_first_place_that_may(offers: dict[str, Offer]) -> None:
    policy = parse_policy({**RICH, "orderers": [{"explore": {"share": 1.0, "first": 3}}]})
    plain = parse_policy({**RICH, "orderers": []})
    wanted = ids(make_list(offers["release"], plain, asked()))[:2]
    found = [make_list(offers["release"], policy, asked(request_id=f"r-{n}")).places for n in range(10)]
    assert all([place.item_id for place in places[:2]] == wanted for places in found)
    assert all([place.propensity for place in places[:2]] == [1.0, 1.0] for places in found)
    assert len({places[2].item_id for places in found}) > 2


def test_what_filters_took_is_told(offers: dict[str, Offer]) -> None:
    found = make_list(offers["release"], default_policy(), asked(k=50))
    assert found.trace.withheld["taken"] == len(_taken_by("user-1"))
    assert found.trace.candidates == {"index": len(found.places)}
    assert set(found.trace.seconds) == {"retrieve", "score", "order", "explain"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"k": 0}, "k must be from 1 to 1000, got 0"),
        ({"k": -1}, "got -1"),
        ({"k": 10_000}, "got 10000"),
        ({"history": ("a",) * 2000}, "2000 items, 1000 at most"),
        ({"context": {"age": float("nan")}}, "context.age must be finite"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_by_field(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        asked(**change)


@pytest.mark.parametrize(
    ("predicate", "said"),
    [
        (("colour", "in", ("red",)), "no column 'colour'"),
        (("price", "in", ("red",)), "price takes no 'in'"),
        (("price", "at_most", float("nan")), "price takes a number"),
        (("price", "at_most", "12"), "price takes a number"),
        (("category", "in", "chair"), "a list of texts"),
        (("price", "under", 3), "no operator 'under'"),
    ],
)
def test_a_predicate_that_means_nothing_is_refused(predicate: tuple[Any, Any, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Predicate(*predicate)


def test_a_request_comes_back_from_its_text() -> None:
    import json

    request = asked(history=("a", "b"), where=(Predicate("price", "at_most", 3.5), PREDICATES[0][0]),
                    context={"device": "tv"})  # fmt: skip
    assert Request.of(json.loads(request.text())) == request
    assert Changes().decay == 1.0
