"""What commands say when the machine or a setting is at fault: as much as they can, and no traceback but a bug's."""

import dataclasses
import errno
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from recsys_pipeline.adapters.serving.releases import DECISION, POINTER, RELEASE, history, promote_if_newer
from recsys_pipeline.adapters.store import durable_files, retention
from recsys_pipeline.commands.diagnosis.served import check_champion
from recsys_pipeline.commands.screen import show_steps
from recsys_pipeline.core.dataset.sources import DayRange
from recsys_pipeline.core.errors import SettingError, SourceError
from recsys_pipeline.defs.resources import stores
from recsys_pipeline.settings import settings
from recsys_pipeline_tests.adapters.release_artifacts import promotable, released
from recsys_pipeline_tests.deployment import DAGSTER_YAML, Deployment
from recsys_pipeline_tests.misbehaving_sources import Misbehaving

DAYS = ("2026-01-05", "2026-01-06", "2026-01-07")
FRESH_PROCESS = """
import sys
from recsys_pipeline import cli
print([cli.main([verb]) for verb in ("doctor", "status")], "recsys_pipeline.defs.models" in sys.modules)
"""


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """Three days were promoted, and the last is served."""
    found = Deployment(tmp_path)
    for day in DAYS:
        promote_if_newer(found.store, *promotable(found.store, day))
    return found


def cut(path: Path) -> Path:
    path.write_text(path.read_text()[:-40])
    return path


# -- doctor and status ------------------------------------------------------------------------------------------------


def test_a_process_that_finds_no_source_tells_all_else(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(DAGSTER_YAML)
    values = {"RECSYS_HOME": "data", "DAGSTER_HOME": str(tmp_path), "RECSYS_SOURCE": "sql",
              "RECSYS_SOURCE_CONFIG": "away.toml", "WANDB_MODE": "disabled"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS], cwd=tmp_path, env={**os.environ, **values}, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "[1, 1] False" in done.stdout, "no assets are loaded, which takes seconds"
    for row in ("packages", "runtime root", "artifact store", "disk", "Dagster daemon", "W&B"):
        assert row in done.stdout, "doctor"
    for row in ("Source     unknown: ", "Runs       none yet", "Alerts     none open", "Schedules  all off"):
        assert row in done.stdout, "status"
    assert done.stdout.count("away.toml") == 2, "each says once what is wrong"


class Away(Misbehaving):
    """What a database is in the night."""

    def days(self) -> DayRange:
        raise SourceError("the database does not answer")


def test_status_shows_the_champion_while_the_source_is_away(deployment: Deployment) -> None:
    outcome = dataclasses.replace(deployment, wrap=Away).recsys("status")
    assert outcome.code == 1
    assert (
        "Source unknown: the database does not answer History no day taken in yet Champion 2026-01-07 " in outcome.text
    )
    assert " MiB" in outcome.text


def test_status_names_a_damaged_pointer_and_goes_on(deployment: Deployment) -> None:
    cut(Path(deployment.store.root) / POINTER)
    outcome = deployment.recsys("status")
    assert outcome.code == 1
    assert POINTER.rpartition("/")[2] in outcome.text.replace(" ", ""), "a long path goes over the end of a line"
    assert "Overlay unknown: as above Runs none yet" in outcome.text


# -- releases ---------------------------------------------------------------------------------------------------------


def test_what_is_damaged_is_listed_as_damaged_among_the_others(deployment: Deployment) -> None:
    root = Path(deployment.store.root)
    release = cut(next((root / RELEASE / DAYS[2]).glob("*-*/manifest.json")))
    decision = cut(next((root / DECISION / DAYS[1]).glob("*-*/decision.json")))
    outcome = deployment.recsys("release", "list")
    assert outcome.code == 1
    served, second, first = (outcome.text.index(f"{day} ") for day in reversed(DAYS))
    assert f"champion {DAYS[2]} – damaged" in outcome.text
    assert " damaged " in outcome.text[second:first]
    assert " passed " in outcome.text[first:]
    assert served < second < first
    for path in (release.parent, decision):
        assert str(path) in outcome.text


def lose(release: Path) -> None:
    shutil.rmtree(release)


def lose_a_file(release: Path) -> None:
    (release / "vectors.txt").unlink()


def damage_manifest(release: Path) -> None:
    cut(release / "manifest.json")


@pytest.mark.parametrize(
    ("damage", "state", "what"),
    [
        (lose, "gone", "is gone"),
        (lose_a_file, "damaged", "has lost files"),
        (damage_manifest, "damaged", "is no manifest"),
    ],
)
def test_a_champion_without_its_files_is_told_with_the_ways_out(
    deployment: Deployment, damage: Callable[[Path], None], state: str, what: str
) -> None:
    damage(deployment.store.get(RELEASE, DAYS[2]).path)
    listed, status = deployment.recsys("release", "list"), deployment.recsys("status")
    with deployment.active():
        (found,) = check_champion(settings())
    assert f"champion {DAYS[2]} – {state}" in listed.text
    assert "Champion damaged: " in status.text
    assert (listed.code, status.code, found.state) == (1, 1, "wrong")
    for told in (listed.text, status.text, f"{found.what} {found.remedy}"):
        for said in (what, f"`recsys run batch_daily {DAYS[2]}`", "`recsys release rollback`"):
            assert said.replace(" ", "") in "".join(told.split()), said
    assert deployment.recsys("release", "rollback").code == 0
    assert f"champion {DAYS[1]} " in deployment.recsys("release", "list").text


def test_a_damaged_pointer_hides_no_release(deployment: Deployment) -> None:
    cut(Path(deployment.store.root) / POINTER)
    outcome = deployment.recsys("release", "list")
    assert outcome.code == 1
    assert outcome.text.count("passed") == 3
    assert "champion.json is not readable" in outcome.text


@pytest.mark.parametrize("day", ["nonsense", "../../models/als/2026-01-05", "20260105", "2026-01-5"])
@pytest.mark.parametrize("form", [("promote",), ("show",), ("diff", DAYS[0]), ("rollback", "--to")])
def test_what_is_no_day_is_refused(deployment: Deployment, form: tuple[str, ...], day: str) -> None:
    outcome = deployment.recsys("release", *form, day)
    assert outcome.code == 1
    assert f"SettingError: '{day}' is no day" in outcome.text


def test_promoting_what_is_served_says_so(deployment: Deployment) -> None:
    outcome = deployment.recsys("release", "promote", DAYS[2])
    assert (outcome.code, outcome.text) == (0, f"{DAYS[2]} is served already: nothing was moved")
    assert len(history(deployment.store)) == 3


# -- the disk ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_nothing_is_told_in_a_line(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(_: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(durable_files, "sync", refuse)
    for verb in (("rollback",), ("promote", DAYS[0])):
        outcome = deployment.recsys("release", *verb)
        assert outcome.code == 1
        assert outcome.text == f"OSError: {os.strerror(number)}: {deployment.store.root}/{POINTER}; see `recsys doctor`"


def test_a_bug_keeps_its_traceback(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(_: Path) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file", "a file that we should have made")

    monkeypatch.setattr(durable_files, "sync", forget)
    with pytest.raises(FileNotFoundError):
        deployment.recsys("release", "rollback")


def test_what_cannot_be_deleted_stops_no_other(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    rename: Callable[..., Path] = Path.rename
    stuck = deployment.store.get(RELEASE, DAYS[0]).path
    released(deployment.store, DAYS[0], "made again")

    def refuse(path: Path, target: Path) -> Path:
        if path == stuck:
            raise PermissionError(errno.EPERM, "Operation not permitted", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(retention, "FRESH", timedelta(0))
    outcome = deployment.recsys("gc", "--keep-days", "1")
    assert outcome.code == 1
    assert "1 versions deleted" in outcome.text, "the other of that day"
    assert f"not deleted {RELEASE}/{DAYS[0]}/{stuck.name}" in outcome.text
    assert "Operation not permitted" in outcome.text
    assert stuck.is_dir()


def test_a_home_that_is_a_file_is_told(tmp_path: Path) -> None:
    home = tmp_path / "data"
    home.write_text("in the way")
    outcome = Deployment(tmp_path).recsys("release", "rollback")
    assert outcome.code == 1
    assert outcome.text.startswith(f"NotADirectoryError: Not a directory: {home}/")
    assert outcome.text.endswith("see `recsys doctor`")


@pytest.mark.parametrize(("url", "said"), [("nowhere://b", "Protocol not known: nowhere"), ("s3://b/x", "s3fs")])
def test_a_store_that_nothing_opens_names_setting_and_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    with Deployment(tmp_path).active():
        monkeypatch.setenv("RECSYS_STORE", url)
        settings.cache_clear()
        with pytest.raises(SettingError, match=f"^RECSYS_STORE is {url}: .*{said}"):
            stores(settings())
        monkeypatch.undo()


def test_the_step_log_is_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = logging.getLogger("recsys_pipeline.steps")
    monkeypatch.setattr(steps, "handlers", [])
    monkeypatch.setattr(steps, "propagate", True)
    show_steps()
    record = logging.makeLogRecord({"msg": "made", "created": 3600.0})
    assert steps.handlers[0].format(record) == "01:00:00 UTC  made"
