"""Which column is which by its name: how public data sets and libraries call users, items, values and times."""

import re
from collections.abc import Iterable, Mapping, Sequence

NAMES: Mapping[str, tuple[str, ...]] = {
    "user": (
        "user userid uid userno customer customerid custid customeruniqueid visitor visitorid fullvisitorid reviewer "
        "reviewerid member memberid profileid person personid client clientid account accountid buyer buyerid reader "
        "readerid listener listenerid viewerid consumerid authorid msno usermboxsha1 usersha1 useridx idcliente "
        "encodeduserid",
        "username reviewername reviewprofilename profilename nickname",
        "session sessionid sid playlist playlistid basketid deviceid cookieid",
    ),
    "item": (
        "parentasin",
        "item itemid iid asin isbn movieid filmid animeid showid productid prodid articleid artid businessid gmapid "
        "bookid trackid songid musicid videoid photoid newsid contentid aid sku skuid goodsid stockcode gameid appid "
        "recipeid placeid venueid poiid hotelid listingid jobid courseid docid documentid postid noteid beerid "
        "beerbeerid jokeid streamerid couponid bookmarkid podcastid restaurantid advertid adgroupid musicbrainztrackid",
        "artistid musicbrainzartistid albumid locationid",
        "movie film anime product article book track song video news game venue place poi artist gametitle",
    ),
    "value": (
        "value rating ratings score stars overall label bookrating reviewscore reviewoverall reviewrating userrating "
        "overallrating preference",
        "weight watchratio playcount plays timesplayed count cnt frequency listeningcount quantity hours hoursplayed "
        "playtime playtimeforever val",
    ),
    "timestamp": (
        "timestamp ts unixtime unixreviewtime timestamps timestampms timestamputc unixs utctimestamp utctime",
        "time datetime createdat created createtime eventtime reviewtime timecreated viewtime addedat ratedat",
        "date eventdate reviewdate invoicedate purchasedate orderdate transactiondate transactiondt tdat dateadded "
        "submissiondate",
        "timeframe",
    ),
    "items": (
        "items itemids itemlist itemidlist iteminteractions movieids productids articleids trackids asins isbns "
        "newsids history basket",
    ),
}  # fmt: skip
"""Names of each role, in small letters without `_`, `-` and blanks and without RecBole's `:token`. Of a role's groups
the first that a header holds counts: a product before its variant, a user before a session, a moment before a day.
`items` is a column that holds a list of items in each row."""

EVENT_NAMES = frozenset(
    ["event", "eventtype", "type", "behavior", "behaviortype", "action", "actiontype", "interactiontype"]
)
"""Names of a column that says what happened, such as view or purchase."""


def plain(name: str) -> str:
    """The name as it stands in `NAMES`; of a path into JSON its last step."""
    return re.sub(r"[\W_]", "", name.split(":")[0].split(".")[-1].lower())


def roles_by_name(header: Sequence[str]) -> dict[str, list[int]]:
    """Of each role the 1-based places of the columns that may be it: several where the names leave it open.

    A path into JSON counts by its last step (`item.asin`) and as a whole (`user.id`).
    """
    names = [{plain(cell), plain(cell.replace(".", ""))} for cell in header]
    found = {role: _first_group(names, groups) for role, groups in NAMES.items()}
    if found["item"]:
        found["items"] = []
    return {role: places for role, places in found.items() if places}


def _first_group(names: Sequence[set[str]], groups: Iterable[str]) -> list[int]:
    for group in groups:
        known = set(group.split())
        if places := [place for place, either in enumerate(names, 1) if either & known]:
            return places
    return []
