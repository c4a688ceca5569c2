"""What a TOML says of its events is what they mean; what it leaves out is assumed, and named."""

from pathlib import Path

import pyarrow as pa
import pytest

from recsys_pipeline.adapters.sources.drafts.source_sample import look_at_events
from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.adapters.sources.sql import SqlSource
from recsys_pipeline.core.dataset.events import AVERSION_NAMES
from recsys_pipeline.core.dataset.source_meaning import SourceMeaning
from recsys_pipeline.core.errors import SettingError

FILES = 'name = "shop"\nroot = "."\n{top}\n[interactions]\npath = "{path}"\ntime_unit = "s"\n'
SQL = 'name = "shop"\nurl = "sqlite:///{path}"\n{top}\n[interactions]\ntable = "events"\n'
COLUMNS = 'columns = {{ user_id = "user", item_id = "item", timestamp = "at", {more} }}\n'
RATINGS = 'event = "rating"\n' + COLUMNS.format(more='value = "stars"')


def worth(worths: str) -> str:
    """The rest of `[interactions]`, of events with worths."""
    return COLUMNS.format(more='event = "event"') + f"[interactions.values]\n{worths}\n"


def meaning_of(folder: Path, rows: str, kind: str = "files", top: str = "", path: str = "events.csv") -> SourceMeaning:
    source, text = {"files": (FilesSource, FILES), "sql": (SqlSource, SQL)}[kind]
    header = "header = true\n" if kind == "files" else ""
    toml = folder / f"{kind}.toml"
    toml.write_text(text.format(top=top, path=path) + header + rows)
    return source.from_toml(toml).meaning


@pytest.mark.parametrize("kind", ["files", "sql"])
def test_worths_say_what_events_are_and_a_declaration_wins(tmp_path: Path, kind: str) -> None:
    worths = "view = 1.0\nscroll = 0.0\nreturn = -2.0\nhide = 1.0\nbuy = 5.0\n"
    found = meaning_of(tmp_path, worth(worths), kind).events
    assert found.kinds == {
        "view": "interest", "scroll": "exposure", "return": "aversion", "hide": "aversion", "buy": "interest"
    }  # fmt: skip
    assert (found.pair, found.likes_from, found.repeats) == ("max", None, "one")
    declared = (
        worths + '[events]\npair = "sum"\nrepeats = "count"\n[events.meaning]\nview = "exposure"\nhide = "interest"'
    )
    told = meaning_of(tmp_path, worth(declared), kind)
    assert (told.events.kinds["view"], told.events.kinds["hide"]) == ("exposure", "interest")
    assert (told.events.pair, told.events.repeats, told.assumed) == ("sum", "count", {})


@pytest.mark.parametrize(
    ("events", "likes_from"),
    [("", 0.0), ("scale = [-10, 10]", 0.0), ("scale = [1, 5]", 3.0), ("scale = [1, 5]\nlikes_from = 3.5", 3.5),
     ("likes_from = -1", -1.0)],
)  # fmt: skip
def test_values_of_a_scale_are_interest_from_its_middle_on(tmp_path: Path, events: str, likes_from: float) -> None:
    found = meaning_of(tmp_path, f"{RATINGS}[events]\n{events}\n")
    assert (found.events.likes_from, found.events.pair) == (likes_from, "latest")
    assert set(found.events.kinds) == set(AVERSION_NAMES)
    assert ("scale" in found.assumed) == (events == "")


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ('pair = "mean"', "events.pair"),
        ("scale = [5, 1]", "the smaller one first"),
        ("scale = [1, 5]\nlikes_from = 6", "lies outside scale"),
        ("likes_from = nan", "finite"),
        ('[events.meaning]\nrating = "liked"', "events.meaning.rating"),
        ("likes = 3", "unknown key events.likes; valid keys here are repeats, pair, scale"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_key(tmp_path: Path, events: str, problem: str) -> None:
    with pytest.raises(SettingError, match=problem):
        meaning_of(tmp_path, f"{RATINGS}[events]\n{events}\n")


def test_events_with_worths_take_neither_a_scale_nor_a_meaning_without_a_worth(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"say events\.meaning"):
        meaning_of(tmp_path, worth("view = 1.0") + "[events]\nlikes_from = 1\n")
    with pytest.raises(SettingError, match=r"'hide', which interactions\.values gives no value"):
        meaning_of(tmp_path, worth("view = 1.0") + '[events.meaning]\nhide = "aversion"\n')


def test_a_changed_worth_unit_column_or_place_is_another_meaning_and_an_addition_is_not(tmp_path: Path) -> None:
    then = meaning_of(tmp_path, worth("buy = 5.0")).document()

    def changes(rows: str, **more: str) -> list[str]:
        return list(meaning_of(tmp_path, rows, **more).changes(then))

    assert changes(worth("buy = 50.0")) == ["values.buy was 5.0 and is 50.0 now"]
    assert changes(worth("buy = 5.0\nwish = 1.0")) == []
    with_request = COLUMNS.format(more='event = "event", request_id = "r"') + "[interactions.values]\nbuy = 5.0\n"
    assert changes(with_request) == []
    assert changes(worth("buy = 5.0").replace('"user"', '"client"')) == [
        "columns.user_id was 'user' and is 'client' now"
    ]
    assert changes(worth("buy = 5.0") + '[events]\nrepeats = "count"') == ["repeats was 'one' and is 'count' now"]
    assert changes(worth("buy = 5.0") + '[events]\npair = "sum"') == [], "days are read by it anew"
    (moved,) = changes(worth("buy = 5.0"), path="other.csv")
    assert "another place" in moved
    assert changes(worth("buy = 5.0"), path="other.csv", top=f'moved_from = ["{then["origin"]}"]') == []


def test_no_password_changes_what_a_database_is(tmp_path: Path) -> None:
    rows = worth("buy = 5.0")
    meaning_of(tmp_path, rows, "sql")
    text = (tmp_path / "sql.toml").read_text()
    found = []
    for url in ("postgresql://ann:one@db/shop", "postgresql://bob:two@db/shop", "postgresql://ann:one@db/crafts"):
        (tmp_path / "sql.toml").write_text(text.replace("sqlite:///events.csv", url))
        found.append(SqlSource.from_toml(tmp_path / "sql.toml").meaning.document()["origin"])
    assert found[0] == found[1] != found[2]


def test_a_look_at_the_newest_rows_counts_kinds_and_repeats_and_asks_what_nobody_declared(tmp_path: Path) -> None:
    """Repeats lie on the first of three days; a value below 0 and a view on the last."""
    first, second = 1_772_323_200, 1_772_409_600
    rows = [f"ann,lamp,click,1,{first}"] * 3 + [f"bob,lamp,click,1,{second}", f"bob,sofa,view,0,{second + 86_400}"]
    rows += [f"ann,sofa,click,-4,{second + 86_400}", f"ann,sofa,click,,{second + 86_400}"]
    (tmp_path / "events.csv").write_text("\n".join(["user,item,event,stars,at", *rows]) + "\n")
    meaning_of(tmp_path, COLUMNS.format(more='event = "event", value = "stars"'))
    seen = look_at_events(FilesSource.from_toml(tmp_path / "files.toml"))
    assert (seen.rows, seen.repeats) == (7, 2)
    assert seen.counts == {("click", "aversion"): 1, ("click", "interest"): 4, ("view", "exposure"): 1}
    remedies = " / ".join(doubt.remedy for doubt in seen.doubts)
    assert len(seen.doubts) == 3
    assert all(key in remedies for key in ("repeats =", "scale =", "[events.meaning] view ="))
    newest = look_at_events(FilesSource.from_toml(tmp_path / "files.toml"), most_rows=2)
    assert newest.repeats == 0, "it reads no further back than it was told"


def test_a_table_without_rows_has_no_doubts(tmp_path: Path) -> None:
    meaning = meaning_of(tmp_path, RATINGS)
    assert (
        meaning.events.signs(pa.table({"event": pa.array([], pa.string()), "value": pa.array([], pa.float32())})).size
        == 0
    )


def test_a_row_that_comes_with_every_window_is_no_repeat(tmp_path: Path) -> None:
    """A lone row of 1970 belongs to no day, so that each window of the newest days gives it again."""
    hour = 3_600
    days = [f"u{at},i{at % 7},5,{1_772_000_000 + at * hour}" for at in range(24 * 12)]
    (tmp_path / "events.csv").write_text("\n".join(["user,item,stars,at", "lone,i1,5,5000", *days]) + "\n")
    meaning_of(tmp_path, RATINGS)
    seen = look_at_events(FilesSource.from_toml(tmp_path / "files.toml"))
    assert (seen.rows, seen.repeats, seen.counts) == (len(days), 0, {("rating", "interest"): len(days)})
