"""The doctor finds each planted fault, names it, and says what to do; a healthy deployment has nothing to mend."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys_pipeline.defs import doctor
from recsys_pipeline.defs.doctor import Finding, diagnose
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


def test_a_bad_setting_is_the_only_thing_that_can_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_SIZE", "huge")
    wrong = [finding for finding in diagnose() if finding.state == "wrong"]
    assert [finding.subject for finding in wrong] == ["settings"]
    assert "RECSYS_SIZE" in wrong[0].what


def test_a_root_that_cannot_be_written_is_wrong(deployment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (deployment / "file").write_text("in the way")
    monkeypatch.setenv("RECSYS_HOME", str(deployment / "file" / "data"))
    assert [finding.state for finding in of("runtime root")] == ["wrong"]
    assert [finding.state for finding in of("artifact store")] == ["wrong"]


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
