"""The file of settings that last: the Launchpad's shape, and every mistake with its line."""

import hashlib
from pathlib import Path

import pytest

from recsys_pipeline.adapters.settings_file import Given, parse_settings, read_settings_file
from recsys_pipeline.core.errors import SettingError

FILE = Path("shop.yaml")


def problems(text: str) -> tuple[str, ...]:
    return parse_settings(text, FILE).problems


def test_fields_have_their_lines_and_types() -> None:
    found = parse_settings("# ours\nops:\n  models__als:\n    config:\n      reg: 1e-3\n      widths: [4, 8]\n", FILE)
    assert found.problems == ()
    assert found.fields == {"models/als": {"reg": Given(0.001, 5), "widths": Given([4, 8], 6)}}
    assert found.lines == {"models/als": 3}


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "ops:\n", "ops: {}\n", "ops:\n  models__als:\n    config:\n"])
def test_an_empty_file_sets_nothing(text: str) -> None:
    found = parse_settings(text, FILE)
    assert found.problems == ()
    assert [fields for fields in found.fields.values() if fields] == []


def test_what_the_launchpad_shows_is_taken_and_the_rest_is_said() -> None:
    pasted = (
        "execution:\n  config: {}\nloggers: {}\nops:\n  models__als: {config: {epochs: 3}}\nresources:\n  store: {}\n"
    )
    found = parse_settings(pasted, FILE)
    assert found.problems == ()
    assert found.fields["models/als"]["epochs"].value == 3
    assert found.left_out == ("execution", "loggers", "resources")


def test_an_asset_may_be_written_as_its_key() -> None:
    assert "models/als" in parse_settings("ops: {models/als: {config: {epochs: 3}}}", FILE).fields


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ops:\n  models__als: {epochs: 3}\n", "shop.yaml, line 2: 'epochs' stands directly below models__als"),
        ("models__als:\n  config: {}\n", "shop.yaml, line 1: 'models__als' is none of a Launchpad's parts"),
        ("ops: [1]\n", "shop.yaml, line 1: `ops` must hold names with values"),
        ("ops:\n  a__b:\n    config: {x: 1}\n  a/b:\n    config: {y: 1}\n", "line 4: a/b stands in line 2 already"),
        ("ops:\n  a__b:\n    config:\n      x: 1\n      x: 2\n", "shop.yaml, line 5: x stands in line 4 already"),
        ("ops:\n  a__b: {config: {x: !!python/name:os.system }}\n", "shop.yaml, line 2: this is no YAML"),
        ("ops: {\n", "shop.yaml, line 2: this is no YAML"),
        ("ops: {a__b: {config: {x: &x [*x]}}}", "shop.yaml, line 1: this is no YAML"),
    ],
)
def test_a_mistake_has_its_place(text: str, said: str) -> None:
    (problem,) = problems(text)
    assert said in problem


def test_a_file_of_secrets_is_not_printed() -> None:
    assert "hunter2" not in "".join(problems("WANDB_API_KEY: hunter2\n  PASSWORD=hunter2: [\n"))
    assert "hunter2" not in "".join(problems("WANDB_API_KEY=hunter2\nPASSWORD=hunter2\n"))


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("ops: {}\n")
    assert read_settings_file(file).digest == hashlib.sha256(b"ops: {}\n").hexdigest()


def test_no_file_need_be_there_unless_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings_file(None).digest == ""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "settings.yaml").write_text("ops: {}")
    assert read_settings_file(None).digest != ""
    with pytest.raises(SettingError, match=r"absent\.yaml cannot be read .*RECSYS_SETTINGS_FILE"):
        read_settings_file(tmp_path / "absent.yaml")
