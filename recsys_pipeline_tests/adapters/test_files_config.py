"""The TOML of a files source: where the root comes from, and what a wrong key is told."""

from pathlib import Path

import pytest

from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.adapters.sources.files_config import load_files_config
from recsys_pipeline.core.errors import SettingError

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
        ('name = "test"', 'name = "Test 1"', "name: String should match pattern"),
        ('name = "test"', "name = ", "not valid TOML"),
    ],
)
def test_wrong_settings_name_the_key_and_what_is_valid(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "s.toml").write_text(TOML.replace(old, new))
    with pytest.raises(SettingError, match=message):
        load_files_config(tmp_path / "s.toml", {})


def test_missing_config_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"cannot read .*none\.toml: No such file.*RECSYS_SOURCE_CONFIG"):
        FilesSource.from_toml(tmp_path / "none.toml")
