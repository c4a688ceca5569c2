"""`recsys recommend`, `related` and `search`: lists of what is served, and why each item stands there."""

from pathlib import Path

from recsys_pipeline.adapters.serving.served import Served
from recsys_pipeline_tests.deployment import Deployment


def words(text: str) -> list[str]:
    return text.split()


def test_a_users_list_is_the_one_that_is_exported_with_its_reasons(first_day: Deployment) -> None:
    served = Served.open(first_day.store)
    user = served.release.users.all_ids()[3].as_py()
    wanted = served.recommend([user, "somebody new"], 5)
    told = first_day.recsys("recommend", user, "somebody new", "-k", "5")
    assert told.code == 0, told.text
    found = words(told.text)
    places = [found.index(item) for item in wanted.of(0)]
    assert places == sorted(places)
    assert "Because you took" in told.text
    assert "Popular now" in told.text
    assert "policy default" in told.text


def test_what_goes_with_an_item_is_told(first_day: Deployment) -> None:
    served = Served.open(first_day.store)
    item = served.release.items.all_ids()[0].as_py()
    told = first_day.recsys("related", item, "-k", "3")
    assert told.code == 0, told.text
    assert told.text.count("Goes with") == 3
    missing = first_day.recsys("related", "no-such-item")
    assert missing.code == 1
    assert "has no item 'no-such-item'" in missing.text


def test_words_find_items_by_title_and_category(first_day: Deployment) -> None:
    served = Served.open(first_day.store)
    category = served.release.catalogue["categories"][0].as_py()[0]
    told = first_day.recsys("search", category, "-k", "4")
    assert told.code == 0, told.text
    assert told.text.count("Matches your words") == 4
    nothing = first_day.recsys("search", "qwertyuiop")
    assert nothing.code == 1
    assert "no item on sale has one of these words" in nothing.text


def test_a_policy_of_the_project_is_used_by_name(first_day: Deployment) -> None:
    told = first_day.recsys("recommend", "somebody", "--policy", "nobodys")
    assert told.code == 1
    assert "there is no policy 'nobodys'" in told.text
    assert not Path("conf/serving/nobodys.yaml").exists()
