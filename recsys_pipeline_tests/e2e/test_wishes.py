"""An item that a user hides: hidden by the hour's overlay, and still hidden by the release that takes the day over."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recsys_pipeline.core.serving.recommend import recommend
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.deployment import DAY, Deployment, failure
from recsys_pipeline_tests.misbehaving_sources import Planting, event


class Hiding(Planting):
    """Tells that a user hid an item in the last minute of the day."""

    def fingerprint(self, window: Window, table: str = "interactions") -> str:
        return self.source.fingerprint(window, table) + "with a wish"


def hiding(user: str, item: str) -> type[Hiding]:
    at = Window.of_partition(DAY).end - timedelta(minutes=1)
    extra: tuple[dict[str, Any], ...] = (event(at, user_id=user, item_id=item, event="hide"),)
    return type("Hiding", (Hiding,), {"extra": extra})


def released(deployment: Deployment) -> Release:
    return Release.load(deployment.store.get("serving/release", DAY).path)


@pytest.fixture
def before(first_day: Deployment, tmp_path: Path) -> Deployment:
    shutil.copytree(first_day.home / "data" / "store", tmp_path / "data" / "store")
    return Deployment(tmp_path)


def test_what_a_user_hides_stays_hidden_and_changes_nobodys_taste(before: Deployment) -> None:
    first = released(before)
    people = first.users.all_ids().to_pylist()
    lists = recommend(first, None, people, 10)
    at = lists.why.index("release")
    worst = lists.of(at)[0]
    folds = before.digests(DAY)["folds/prequential"]
    after = Deployment(before.home, wrap=hiding(people[at], worst))
    keys = ("dataset/interactions", "dataset/snapshot", "folds/prequential", "serving/release")
    found = after.materialize(*keys, day=DAY)
    assert found.success, failure(found)
    assert after.digests(DAY)["folds/prequential"] == folds, "a wish is no interest"
    now = recommend(released(after), None, people, 10)
    assert now.of(at)[:9] == lists.of(at)[1:], "the others move up"
    assert [now.of(user) for user in range(len(people)) if user != at] == [
        lists.of(user) for user in range(len(people)) if user != at
    ]
