"""The TOML of a files source: where the root comes from, and what a wrong key is told."""

from datetime import date
from pathlib import Path

import pytest

from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.adapters.sources.files_config import load_files_config
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.time import Window

TOML = """
name = "test"
root = "${DATA_HOME:-fallback}/sub"
[interactions]
path = "ratings.dat"
time_unit = "s"
event = "rating"
[interactions.columns]
user_id = 1
item_id = 2
value = 3
timestamp = 4
"""


def test_root_comes_from_the_environment_or_its_default(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(TOML)
    assert load_files_config(tmp_path / "s.toml", {"DATA_HOME": "/data"}).root == Path("/data/sub")
    assert load_files_config(tmp_path / "s.toml", {}).root == tmp_path / "fallback" / "sub"
    (tmp_path / "s.toml").write_text(TOML.replace(":-fallback", ""))
    with pytest.raises(SettingError, match=r"s\.toml: root needs the environment variable DATA_HOME"):
        load_files_config(tmp_path / "s.toml", {})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'time_unit = "s"',
            'time_unit = "s"\nunit = 1',
            r"unknown key interactions\.unit; valid keys here are path, separator",
        ),
        (
            "user_id = 1",
            "user_id = 1\nusr = 2",
            r"unknown key interactions\.columns\.usr; valid keys here are user_id, item_id",
        ),
        ('name = "test"', 'name = "test"\nroots = 1', "unknown key roots; valid keys here are name, .*root"),
        ('time_unit = "s"', 'time_unit = "h"', r"interactions\.time_unit: Input should be 's', 'ms', 'us' or 'iso'"),
        ('event = "rating"', "", "interactions: give either event"),
        ("value = 3", "", "interactions: give either columns.value or the table values"),
        ("user_id = 1", "user_id = 0", r"interactions\.columns\.user_id"),
        ("ratings.dat", "ratings.txt", "interactions: set separator"),
        (
            "ratings.dat",
            "/data/ratings.dat",
            r"interactions\.path: '/data/ratings\.dat' must be relative and below root",
        ),
        ("ratings.dat", "../ratings.dat", r"interactions\.path: .* must be relative and below root"),
        ('time_unit = "s"', 'time_unit = "s"\ndate_pattern = "("', r"date_pattern '\(' is no regular expression"),
        ("timestamp = 4", "", "interactions.columns.timestamp: Field required: days are told by times; .*evaluate"),
        ("ratings.dat", "", "interactions.path: '' names no file below root"),
        ("ratings.dat", ".", "interactions.path: '.' names no file below root"),
        ("ratings.dat", "a**b/r.dat", r"interactions\.path: .*: \*\* stands for folders, alone between slashes"),
        ("user_id = 1", "user_id = true", r"interactions\.columns\.user_id"),
        ("user_id = 1", 'user_id = ""', r"interactions\.columns\.user_id"),
        ("user_id = 1", "user_id = 2", "user_id, item_id and timestamp must be three columns"),
        ("value = 3", "\n[interactions.values]\nrating = inf", r"interactions\.values\.rating: Input should be "),
        ("value = 3", "\n[interactions.values]\nrating = nan", r"interactions\.values\.rating: Input should be "),
        ("value = 3", "\n[interactions.values]\nrating = 1e300", r"interactions\.values\.rating: Input should be "),
        ('time_unit = "s"', 'time_unit = "s"\nencoding = "klingon"', "encoding: 'klingon' is no encoding of text"),
        ('time_unit = "s"', 'time_unit = "s"\nencoding = "base64"', "encoding: 'base64' is no encoding of text"),
        ('time_unit = "s"', 'time_unit = "s"\ndecimal = ","\nthousands = ","', "decimal and thousands are both ','"),
        ('name = "test"', 'name = "Test 1"', "name: String should match pattern"),
        ('name = "test"', "name = ", "not valid TOML"),
    ],
)
def test_wrong_settings_name_the_key_and_what_is_valid(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "s.toml").write_text(TOML.replace(old, new))
    with pytest.raises(SettingError, match=message):
        load_files_config(tmp_path / "s.toml", {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'name = "caf\xe9"', r"s\.toml is not UTF-8 \(byte 12\)"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, r"s\.toml is (nested too deeply|not valid TOML)"),
        (b"a = " + b"{b = " * 5000 + b"1" + b"}" * 5000, r"s\.toml is (nested too deeply|not valid TOML)"),
    ],
)
def test_a_toml_that_its_parser_gives_up_on_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "s.toml").write_bytes(content)
    with pytest.raises(SettingError, match=message):
        load_files_config(tmp_path / "s.toml", {})


def test_missing_config_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"cannot read .*none\.toml: No such file.*RECSYS_SOURCE_CONFIG"):
        FilesSource.from_toml(tmp_path / "none.toml")


SEVERAL = """
name = "test"
root = "."
[[interactions]]
path = "views.csv"
time_unit = "s"
event = "view"
columns = { user_id = 1, item_id = 2, timestamp = 3 }
values = { view = 1.0 }
[[interactions]]
path = "orders.csv"
time_unit = "iso"
event = "purchase"
columns = { user_id = 3, item_id = 1, timestamp = 2 }
values = { purchase = 5.0 }
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("timestamp = 2", "time = 2", r"unknown key interactions\[2\]\.columns\.time; valid keys here are user_id"),
        (", timestamp = 2", "", r"interactions\[2\]\.columns\.timestamp: Field required: days are told by times"),
        ("purchase = 5.0", "purchase = 5.0, view = 2.0", "give event 'view' two values: 1.0 and 2.0"),
        ('"iso"', '"iso"\nlayout = "days"', r"several .* need layout = \"file\""),
        ("user_id = 3", "value = 4, user_id = 3", r"interactions\[2\]: give either columns.value or the table values"),
        ("5.0 }", '5.0 }\n[events.meaning]\nbuy = "interest"', "events.meaning names 'buy'"),
    ],
)
def test_of_several_tables_the_wrong_one_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "s.toml").write_text(SEVERAL.replace(old, new))
    with pytest.raises(SettingError, match=message):
        load_files_config(tmp_path / "s.toml", {})


def test_several_tables_are_one_source(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(SEVERAL)
    (tmp_path / "views.csv").write_text("u1,i1,1704067200\nu2,i1,1704153600\n")
    (tmp_path / "orders.csv").write_text("i1,2024-01-03,u1\n")
    source = FilesSource.from_toml(tmp_path / "s.toml")
    days = source.days()
    assert (str(days.first), str(days.last)) == ("2024-01-01", "2024-01-03")
    assert source.meaning.events.kinds["purchase"] == "interest"
    window = Window.of_days(days.first, date(2024, 1, 3))
    found = source.interactions(window).read_all().to_pylist()
    assert [(row["user_id"], row["item_id"], row["event"], row["value"]) for row in found] == [
        ("u1", "i1", "view", 1.0), ("u2", "i1", "view", 1.0), ("u1", "i1", "purchase", 5.0)
    ]  # fmt: skip
    before, of_days = source.fingerprint(window), source.fingerprints(window)
    assert len(of_days) == 3
    (tmp_path / "orders.csv").write_text("i1,2024-01-03,u1\ni1,2024-01-03,u2\n")
    assert FilesSource.from_toml(tmp_path / "s.toml").fingerprint(window) != before


def test_one_table_in_an_array_is_as_one_table(tmp_path: Path) -> None:
    """Also in what the source is known by: its days stay as they are."""
    (tmp_path / "ratings.dat").write_text("1::2::3::1704067200\n")
    found = []
    for text in (TOML, TOML.replace("[interactions]", "[[interactions]]")):
        (tmp_path / "s.toml").write_text(text.replace("${DATA_HOME:-fallback}/sub", "."))
        source = FilesSource.from_toml(tmp_path / "s.toml")
        found.append((source.fingerprint(Window.of_day(date(2024, 1, 1))), source.meaning))
    assert found[0] == found[1]
