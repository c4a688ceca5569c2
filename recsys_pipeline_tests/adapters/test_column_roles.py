"""Which column is which: by names of many public layouts, by content, and refused with a way out where it is open."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from recsys_pipeline.adapters.sources.drafts.column_content import content, times_like
from recsys_pipeline.adapters.sources.drafts.column_roles import guessed_roles, named_roles, said_roles
from recsys_pipeline.core.errors import SettingError, SourceError

FILE = Path("ratings.txt")
HEADERS = {
    "MovieLens 25M": ("userId,movieId,rating,timestamp", "user = 1, item = 2, value = 3, timestamp = 4"),
    "RecBole": (
        "user_id:token,item_id:token,rating:float,timestamp:float",
        "user = 1, item = 2, value = 3, timestamp = 4",
    ),
    "Amazon 2018": (
        "overall,verified,reviewTime,reviewerID,asin,unixReviewTime",
        "value = 1, user = 4, item = 5, timestamp = 6",
    ),
    "Amazon 2023": (
        "rating,title,text,images,asin,parent_asin,user_id,timestamp",
        "value = 1, item = 6, user = 7, timestamp = 8",
    ),
    "Book-Crossing": ("User-ID,ISBN,Book-Rating", "user = 1, item = 2, value = 3"),
    "RetailRocket": ("timestamp,visitorid,event,itemid,transactionid", "timestamp = 1, user = 2, item = 4"),
    "Yoochoose": ("SessionId,ItemId,Time", "user = 1, item = 2, timestamp = 3"),
    "Diginetica": ("sessionId,userId,itemId,timeframe,eventdate", "user = 2, item = 3"),
    "Deskdrop": (
        "timestamp,eventType,contentId,personId,sessionId,userRegion",
        "timestamp = 1, item = 3, user = 4",
    ),
    "KuaiRec": (
        "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio",
        "user = 1, item = 2, timestamp = 7, value = 8",
    ),
    "Last.fm of HetRec": ("userID,artistID,weight", "user = 1, item = 2, value = 3"),
    "LibRecommender": ("user,item,label,time", "user = 1, item = 2, value = 3, timestamp = 4"),
    "Goodreads": ("user_id,book_id,is_read,rating,is_reviewed", "user = 1, item = 2, value = 4"),
    "Yelp": ("review_id,user_id,business_id,stars,useful,date", "user = 2, item = 3, value = 4, timestamp = 6"),
    "Steam reviews": ("username,product_id,hours,text,date", "user = 1, item = 2, value = 3, timestamp = 5"),
    "Otto": ("session,events[].aid,events[].ts,events[].type", "user = 1, item = 2, timestamp = 3"),
    "Online Retail": (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID",
        "item = 2, value = 4, timestamp = 5, user = 7",
    ),
    "H&M": ("t_dat,customer_id,article_id,price", "timestamp = 1, user = 2, item = 3"),
    "Netflix": ("CustomerID,MovieID,Rating,Date", "user = 1, item = 2, value = 3, timestamp = 4"),
    "keys in objects": ("user.id,item.asin,review.stars,review.date", "user = 1, item = 2, value = 3, timestamp = 4"),
    "lists": ("user,order,items", "user = 1, items = 3"),
    "RecBole's lists": ("user_id:token,item_id_list:token_seq", "user = 1, items = 2"),
    "a restaurant's three ratings": ("userID,placeID,rating,food_rating", "user = 1, item = 2, value = 3"),
}


def described(places: dict) -> str:
    return ", ".join(f"{role} = {place}" for role, place in places.items())


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_public_layouts_are_known(name: str) -> None:
    header, expected = HEADERS[name]
    assert described(dict(named_roles(header.split(","), [], FILE).places)).startswith(expected)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("user,item,item_id", "item and item_id may each be the item: .*--columns user=user,item=item"),
        ("user_id,customer_id,item", "user_id and customer_id may each be the user"),
        ("user,item,rating,score", "rating and score may each be the value"),
        ("user,item,user", "user and user may each be the user"),
        ("payer,thing,stars", "no known name of a column of users.*--columns user=…,item=…,value=stars"),
    ],
)
def test_an_open_header_is_refused_with_the_option_that_settles_it(header: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        named_roles(header.split(","), [], FILE)


def test_rows_of_every_event_count_and_that_is_said() -> None:
    reasons = named_roles(["timestamp", "visitorid", "event", "itemid"], [], FILE).reasons
    assert any("every row counts as interest, whatever its event" in reason for reason in reasons)


def test_a_column_called_item_that_holds_times_is_refused() -> None:
    columns = [["1", "2"], ["2026-01-01T00:00Z", "2026-01-02T00:00Z"]]
    with pytest.raises(SourceError, match="'item' would be the item, and 2 of 2 are ISO 8601 times"):
        named_roles(["user", "item"], [content(cells) for cells in columns], FILE)


USERS = [f"u{row % 12}" for row in range(60)]
ITEMS = [str(214_530_000 + row % 17) for row in range(60)]
STARS = [str(1 + row % 5) for row in range(60)]
ZEROS = ["0"] * 60
DAYS = [f"2014-04-{1 + row % 28:02}T18:34:58.{row:03}Z" for row in range(60)]
SECONDS = [str(1_396_000_000 + 977 * row) for row in range(60)]
ORDER = [str(row) for row in range(60)]


def guessed(*columns: Sequence[str]) -> str:
    return described(dict(guessed_roles([content(cells) for cells in columns], FILE).places))


def test_columns_without_names_are_told_by_their_content() -> None:
    assert guessed(USERS, ITEMS) == "user = 1, item = 2"
    assert guessed(USERS, ITEMS, STARS) == "user = 1, item = 2, value = 3"
    assert guessed(USERS, ITEMS, SECONDS) == "user = 1, item = 2, timestamp = 3"
    assert guessed(USERS, ITEMS, STARS, SECONDS) == "user = 1, item = 2, value = 3, timestamp = 4"
    assert guessed(USERS, DAYS, ITEMS, ZEROS) == "user = 1, timestamp = 2, item = 3"
    assert guessed(USERS, DAYS, ITEMS) == "user = 1, timestamp = 2, item = 3"
    assert guessed(DAYS, USERS, ITEMS) == "timestamp = 1, user = 2, item = 3"


def test_a_guess_says_why() -> None:
    reasons = "; ".join(guessed_roles([content(cells) for cells in (USERS, DAYS, ITEMS, ZEROS)], FILE).reasons)
    assert "timestamp = column 2: 60 of 60 are ISO 8601 times" in reasons
    assert "user = column 1 and item = column 3 by the usual order" in reasons
    assert "12 and 17 different" in reasons
    assert "column 4 is not read" in reasons


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ((USERS, ITEMS, STARS, ORDER), "four columns and none of times"),
        (
            (USERS, ITEMS, ZEROS, STARS, SECONDS),
            "5 columns and no header.*--columns, such as user,item,value,-,timestamp",
        ),
        ((USERS, DAYS), "one column of times and only one other"),
        ((USERS, SECONDS, ITEMS), "column 2 may be times or ids"),
        ((USERS, SECONDS, STARS, SECONDS), "columns 2 and 4 may each be the times"),
        ((USERS, ITEMS, ["purchase"] * 60), "column 3 would be the value, and holds no numbers"),
        ((USERS, [f"{row / 2}" for row in range(60)], STARS), "column 2 would be the item, and its numbers have frac"),
        ((USERS, ZEROS, STARS), "column 2 would be the item, and is '0' in every row"),
        ((USERS, STARS, DAYS), "column 2 would be the item, and holds numbers as ratings are"),
        ((USERS, STARS, ORDER), "column 2 would be the item, and holds only 5 different"),
    ],
)
def test_what_the_content_does_not_bear_out_is_refused(columns: Sequence[Sequence[str]], reason: str) -> None:
    with pytest.raises(SourceError, match=reason) as caught:
        guessed(*([*cells] * 4 for cells in columns))
    assert "say --columns" in str(caught.value)
    assert "1: 12 different texts such as 'u0' in 240" in str(caught.value), "every column is shown"


def test_items_before_reviewers_are_refused() -> None:
    asins, reviewers = [f"B00{row % 17:07}" for row in range(60)], [f"A3SGXH7AUHU{row % 12:02}" for row in range(60)]
    assert guessed(reviewers, asins, STARS, SECONDS).startswith("user = 1, item = 2")
    with pytest.raises(SourceError, match="Amazon's items in column 1 and its reviewers in column 2"):
        guessed(asins, reviewers, STARS, SECONDS)


def test_one_broken_cell_does_not_change_what_a_column_is() -> None:
    assert guessed(USERS, ITEMS, [*STARS[1:], "good"]) == "user = 1, item = 2, value = 3"
    assert guessed(USERS, [*DAYS[1:], "soon"], ITEMS) == "user = 1, timestamp = 2, item = 3"


def test_columns_are_said_by_name_by_place_and_in_order() -> None:
    header = ["overall", "reviewerID", "asin", "2"]
    said = said_roles(["user=reviewerID", "item=asin", "value=1"], header, 4, "f")
    assert said.places == {"user": 2, "item": 3, "value": 1}
    assert said_roles(["user=2", "item=asin"], header, 4, "f").places == {"user": 4, "item": 3}, "names before places"
    assert said_roles(["-", "user", "item"], header, 4, "f").places == {"user": 2, "item": 3}
    assert said_roles(["user=user_id", "items=seq"], ["user_id:token", "seq:token_seq"], 2, "f").places["items"] == 2


@pytest.mark.parametrize(
    ("columns", "names", "reason"),
    [
        ("user=who,item=b", "a,b", "no column 'who' .*its header has a, b"),
        ("user=3,item=1", "", "no column '3' .*no header, and 2 columns"),
        ("user=a,item=a", "a,a", "several columns 'a': say the place"),
        ("user=a", "a,b", "name user and item"),
        ("user=a,item=b,items=b", "a,b", "name user and item"),
        ("user=a,item=b,price=b", "a,b", "name user and item"),
        ("user=a,item", "a,b", "no column ''"),
    ],
)
def test_wrong_columns_are_named(columns: str, names: str, reason: str) -> None:
    with pytest.raises(SettingError, match=reason):
        said_roles(columns.split(","), names.split(",") if names else [], 2, "f")


def test_formats_are_offered_that_read_every_time() -> None:
    assert times_like(["01-12-10 08:26", "28-12-10 09:19"]) == ["%d-%m-%y %H:%M"], "2028 is to come"
    assert times_like(["01-12-10 08:26"]) == ["%d-%m-%y %H:%M", "%m-%d-%y %H:%M", "%y-%m-%d %H:%M"]
    assert times_like(["12/1/2010 8:26", "12/13/2010 8:26"]) == ["%m/%d/%Y %H:%M"]
    assert times_like(["Tue Apr 03 18:00:09 +0000 2012"]) == ["%a %b %d %H:%M:%S %z %Y"]
    assert times_like(["11/13/2019 8:36:57 AM"]) == ["%m/%d/%Y %I:%M:%S %p"]
    assert times_like(["soon"]) == []
