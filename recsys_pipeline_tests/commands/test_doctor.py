"""The doctor finds each planted fault, names it, and says what to do; a healthy deployment has nothing to mend."""

import argparse
import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem
from rich.console import Console

from recsys_pipeline.commands import doctor
from recsys_pipeline.commands.doctor import Finding, check_source, check_store, diagnose
from recsys_pipeline.settings import Settings, settings


@pytest.fixture(autouse=True)
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A healthy deployment in a folder of its own."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"RECSYS_{name.upper()}", raising=False)
    for name, value in {"RECSYS_SIZE": "tiny", "RECSYS_HOME": "data", "DAGSTER_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def of(subject: str) -> list[Finding]:
    """What is found of one subject."""
    return [finding for finding in diagnose() if finding.subject == subject]


def test_a_healthy_deployment_has_nothing_to_mend() -> None:
    findings = diagnose()
    assert [finding for finding in findings if finding.state == "wrong"] == []
    assert {"packages", "settings", "runtime root", "artifact store", "disk", "source", "W&B"} <= {
        finding.subject for finding in findings
    }
    assert all(finding.remedy for finding in findings if finding.state != "ok")


def test_it_leaves_nothing_behind(deployment: Path) -> None:
    diagnose()
    assert not list(deployment.rglob(".doctor*"))


def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_SIZZE", "demo")
    (finding,) = of("settings")
    assert finding.state == "warning"
    assert "RECSYS_SIZZE" in finding.what
    assert "RECSYS_SIZE" in finding.remedy


def test_a_misspelt_line_of_the_file_is_named(deployment: Path) -> None:
    (deployment / ".env").write_text("RECSYS_SOURCES=files\n")
    (finding,) = of("settings")
    assert "RECSYS_SOURCES" in finding.what


def test_what_a_bad_setting_does_not_concern_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_SIZE", "huge")
    findings = diagnose()
    (wrong,) = [finding for finding in findings if finding.state == "wrong"]
    assert wrong.what.startswith("RECSYS_SIZE: Input should be")
    assert "not looked at: source" in wrong.what
    subjects = {finding.subject for finding in findings}
    assert {"runtime root", "artifact store", "disk", "Dagster daemon", "W&B"} <= subjects
    assert "source" not in subjects


def test_a_root_that_cannot_be_written_is_wrong(deployment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (deployment / "file").write_text("in the way")
    monkeypatch.setenv("RECSYS_HOME", str(deployment / "file" / "data"))
    assert [finding.state for finding in of("runtime root")] == ["wrong"]
    assert [finding.state for finding in of("artifact store")] == ["wrong"]


def test_a_root_that_is_a_file_is_called_that(deployment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (deployment / "file").write_text("in the way")
    monkeypatch.setenv("RECSYS_HOME", str(deployment / "file"))
    (finding,) = of("runtime root")
    assert (finding.state, finding.what) == ("wrong", f"{deployment / 'file'} is no folder")


def test_nothing_is_left_behind_on_a_full_disk(deployment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk takes the name of a file, and none of its bytes."""

    def write_text(path: Path, *_: object) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    def pipe_file(_: object, path: str, *__: object) -> None:
        write_text(Path(path))

    monkeypatch.setattr(Path, "write_text", write_text)
    monkeypatch.setattr(LocalFileSystem, "pipe_file", pipe_file)
    found = {finding.subject: finding for finding in diagnose()}
    for subject in ("runtime root", "artifact store"):
        assert found[subject].state == "wrong"
        assert "No space left on device" in found[subject].what
    assert "recsys gc" in found["runtime root"].remedy
    assert not list(deployment.rglob(".doctor*"))


def test_a_broken_dagster_yaml_is_one_finding_among_others(deployment: Path) -> None:
    (deployment / "dagster.yaml").write_text("telemetry: [\n")
    (finding,) = of("Dagster")
    assert finding.state == "wrong"
    assert f"{deployment}/dagster.yaml is none that Dagster takes" in finding.what
    assert of("W&B")


def test_a_store_of_an_unknown_protocol_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_STORE", "nowhere://bucket")
    (finding,) = of("artifact store")
    assert finding.state == "wrong"
    assert "nowhere" in finding.what


@pytest.mark.parametrize(("free", "state"), [(100 * 2**20, "wrong"), (2**30, "warning"), (2**40, "ok")])
def test_a_full_disk_is_told_in_time(free: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    (finding,) = of("disk")
    assert finding.state == state


def test_a_package_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor.importlib.metadata.version
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: "0.1" if name == "jax" else real(name))
    (finding,) = of("packages")
    assert finding.state == "wrong"
    assert "jax is 0.1" in finding.what


def test_a_source_that_does_not_open_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_SOURCE", "carrier-pigeon")
    (finding,) = of("source")
    assert finding.state == "wrong"
    assert "carrier-pigeon" in finding.what


def test_a_source_whose_catalogue_is_missing_is_wrong(deployment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (deployment / "r.csv").write_text("1,7,4.5,1772323200\n")
    (deployment / "mine.toml").write_text(
        'name = "mine"\nroot = "."\n[interactions]\npath = "r.csv"\ntime_unit = "s"\nevent = "rating"\n'
        "[interactions.columns]\nuser_id = 1\nitem_id = 2\nvalue = 3\ntimestamp = 4\n"
        '[items]\npath = "items.csv"\nheader = true\n[items.columns]\nitem_id = "id"\n'
    )
    monkeypatch.setenv("RECSYS_SOURCE", "files")
    monkeypatch.setenv("RECSYS_SOURCE_CONFIG", str(deployment / "mine.toml"))
    (finding,) = check_source(settings())
    assert (finding.state, "no file items.csv" in finding.what) == ("wrong", True)
    (deployment / "items.csv").write_text("id\n7\n")
    (finding,) = check_source(settings())
    assert (finding.state, finding.what) == ("ok", "mine: interactions, items from 2026-03-01 to 2026-03-01")


def test_a_source_that_begins_in_the_future_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_START_DATE", "2999-01-01")
    (finding,) = check_source(settings())
    assert (finding.state, "lies in the future" in finding.what) == ("wrong", True)
    assert "RECSYS_START_DATE" in finding.remedy


def test_a_store_that_is_lost_with_the_process_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_STORE", "memory://store")
    (finding,) = check_store(settings())
    assert (finding.state, "lost when the process ends" in finding.what) == ("wrong", True)


@pytest.mark.parametrize(
    ("states", "last", "code"),
    [
        (["ok", "ok"], "All is well.", 0),
        (["ok", "warning"], "1 to look at.", 0),
        (["wrong", "warning", "warning"], "1 to mend, 2 to look at.", 1),
    ],
)
def test_the_last_line_says_what_the_rows_say(
    states: list, last: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "diagnose", lambda: [Finding("thing", state, "found", "mend") for state in states])
    console = Console(file=io.StringIO(), width=100)
    assert doctor.run(console, argparse.Namespace()) == code
    assert console.file.getvalue().splitlines()[-1] == last  # pyright: ignore[reportAttributeAccessIssue] (a StringIO)


def test_a_daemon_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = of("Dagster daemon")
    assert (finding.state, "never seen" in finding.what) == ("warning", True)
    monkeypatch.setenv("DAGSTER_HOME", os.devnull)
    assert "has no dagster.yaml" in of("Dagster")[0].what


def test_a_key_that_was_cut_is_told_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    monkeypatch.setenv("WANDB_MODE", "online")
    (finding,) = of("W&B")
    assert finding.state == "warning"
    assert "0123456789" not in finding.what + finding.remedy


def test_what_events_are_taken_for_is_said_before_a_run(deployment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ["ann,lamp,view,1772323200", "ann,lamp,view,1772323200", "ann,sofa,buy,1772323300"]
    (deployment / "events.csv").write_text("\n".join(["user,item,event,at", *rows]) + "\n")
    columns = 'columns = { user_id = "user", item_id = "item", event = "event", timestamp = "at" }'
    text = (
        f'name = "shop"\nroot = "."\n[interactions]\npath = "events.csv"\nheader = true\ntime_unit = "s"\n{columns}\n'
    )
    (deployment / "shop.toml").write_text(text + "[interactions.values]\nview = 1.0\nbuy = 5.0\n")
    monkeypatch.setenv("RECSYS_SOURCE", "files")
    monkeypatch.setenv("RECSYS_SOURCE_CONFIG", "shop.toml")
    counts, *asked = of("events")
    assert (counts.state, counts.what[:40]) == ("ok", "1 buy as interest, 2 view as interest, 1")
    assert [finding.state for finding in asked] == ["warning", "warning"]
    assert 'repeats = "one"' in asked[0].remedy
    assert "[events.meaning] view" in asked[1].remedy


def test_a_wrong_line_of_the_settings_file_is_named(deployment: Path) -> None:
    (deployment / "conf").mkdir()
    file = deployment / "conf" / "settings.yaml"
    file.write_text("ops:\n  models__als:\n    config:\n      embedding_size: 0\n      epoch: 3\nloggers: {}\n")
    unknown, low, left_out = of("settings file")
    assert unknown.what.startswith("conf/settings.yaml, line 5: models/als has no field 'epoch'; similar are epochs")
    assert "line 4: models/als.embedding_size must be at least 1, got 0" in low.what
    assert (low.state, unknown.state, left_out.state) == ("wrong", "wrong", "warning")
    assert "loggers" in left_out.what


def test_a_model_that_cannot_be_released_is_named_with_its_line(deployment: Path) -> None:
    (deployment / "conf").mkdir()
    file = deployment / "conf" / "settings.yaml"
    file.write_text("ops:\n  serving__release:\n    config:\n      k: 5\n      model: ease\n")
    (finding,) = of("settings file")
    assert finding.state == "wrong"
    assert finding.what.startswith("conf/settings.yaml, line 5: serving/release")
    assert "'ease' cannot be released, since it has no " in finding.what
    assert "als, sampled_mf can" in finding.what


def test_a_settings_file_that_holds_is_said(deployment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = deployment / "ours.yaml"
    file.write_text("ops: {models__als: {config: {epochs: 3, reg: 0.2}}}")
    monkeypatch.setenv("RECSYS_SETTINGS_FILE", str(file))
    settings.cache_clear()
    (finding,) = of("settings file")
    assert (finding.state, finding.what) == ("ok", f"{file} sets 2 fields of 1 assets")
