"""Fetching images from a local server that has dead links, errors and drops, and being killed meanwhile."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys_pipeline import cli
from recsys_pipeline.adapters.sources import download_file
from recsys_pipeline.adapters.sources.fetch_looks import DEAD_LINKS, FetchSummary, fetch_looks
from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.commands import fetch_looks as verb
from recsys_pipeline.core.dataset.simulator import SIZES, Simulator
from recsys_pipeline.core.errors import SettingError, SourceError
from recsys_pipeline.settings import Settings
from recsys_pipeline_tests.adapters.local_server import Server, local_server
from recsys_pipeline_tests.adapters.test_stl_files import GOOD, pair, stl_source
from recsys_pipeline_tests.look_fixtures import plain

IDS = ["5c01", "ab01", "cd02", "5c02", "ef03"]
IMAGES = {f"{name[:2]}/{name}.png": plain((10 * row, 0, 0)) for row, name in enumerate(IDS)}


@pytest.fixture
def server() -> Iterator[Server]:
    with local_server(dict(IMAGES)) as running:
        yield running


def source(root: Path, server: Server, lines: list[str] = GOOD, **fetch: object) -> FilesSource:
    quick = {"per_second": 1000, "attempts": 3, "backoff_s": 0.01, "timeout_s": 0.3, **fetch}
    return stl_source(root, lines, image="images/{id}.png", fetch={"url": server.url + "/{id[0:2]}/{id}.png", **quick})


def asked(server: Server) -> list[str]:
    return [Path(name).stem for name, _ in server.requests]


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "images").iterdir())


def test_all_images_arrive_once_a_scene_before_its_products(server: Server, tmp_path: Path) -> None:
    assert fetch_looks(source(tmp_path, server)) == FetchSummary(0, 0, 5, 0, 0)
    assert asked(server) == IDS
    assert names(tmp_path) == sorted(f"{name}.png" for name in IDS)
    assert source(tmp_path, server).image("images/ef03.png") == IMAGES["ef/ef03.png"]
    assert fetch_looks(source(tmp_path, server)) == FetchSummary(5, 0, 0, 0, 0)
    assert len(server.requests) == 5


@pytest.mark.parametrize("status", [404, 410])
def test_dead_links_are_recorded_and_never_asked_for_again(server: Server, tmp_path: Path, status: int) -> None:
    server.faults = ["", str(status), "", str(status)]
    assert fetch_looks(source(tmp_path, server)) == FetchSummary(0, 2, 3, 0, 0)
    assert fetch_looks(source(tmp_path, server)) == FetchSummary(3, 2, 0, 0, 0)
    assert asked(server) == IDS
    dead = [json.loads(line) for line in (tmp_path / DEAD_LINKS).read_text().splitlines()]
    assert dead == [
        {"id": name, "url": f"{server.url}/{name[:2]}/{name}.png", "status": status} for name in ("ab01", "5c02")
    ]


@pytest.mark.parametrize("fault", ["429", "500", "503", "drop", "stall"])
def test_passing_troubles_are_retried(server: Server, tmp_path: Path, fault: str) -> None:
    server.faults = ["", fault, fault]
    assert fetch_looks(source(tmp_path, server)) == FetchSummary(0, 0, 5, 0, 0)
    assert Counter(asked(server)) == {**dict.fromkeys(IDS, 1), "ab01": 3}
    assert source(tmp_path, server).image("images/ab01.png") == IMAGES["ab/ab01.png"]


@pytest.mark.parametrize("fault", ["403", "500"])
def test_what_keeps_failing_is_left_to_a_later_call(server: Server, tmp_path: Path, fault: str) -> None:
    server.faults = ["", *[fault] * (1 if fault == "403" else 3)]
    assert fetch_looks(source(tmp_path, server)) == FetchSummary(0, 0, 4, 1, 0)
    assert fetch_looks(source(tmp_path, server)) == FetchSummary(4, 0, 1, 0, 0)


def test_a_server_that_asks_to_wait_is_obeyed(server: Server, tmp_path: Path) -> None:
    server.faults, server.retry_after = ["429"], "1"
    started = time.monotonic()
    fetch_looks(source(tmp_path, server), limit=1)
    assert time.monotonic() - started >= 1


def test_error_pages_under_status_200_are_no_images(server: Server, tmp_path: Path) -> None:
    server.files["ab/ab01.png"] = b"<!doctype html>\n<p>Please log in</p>"
    assert fetch_looks(source(tmp_path, server)) == FetchSummary(0, 0, 4, 1, 0)
    assert "ab01.png" not in names(tmp_path)
    server.files["ab/ab01.png"] = IMAGES["ab/ab01.png"]
    assert fetch_looks(source(tmp_path, server)) == FetchSummary(4, 0, 1, 0, 0)


def test_it_gives_up_where_everything_fails(server: Server, tmp_path: Path) -> None:
    server.files = {}
    server.faults = ["403"] * 30
    lines = [pair(f"5c{number}", "ab01") for number in range(20)]
    with pytest.raises(SourceError, match=r"10 images in a row failed, the last so: .*answered 403"):
        fetch_looks(source(tmp_path, server, lines))
    assert len(server.requests) == 10


def test_the_rate_is_bounded_and_the_limit_kept(server: Server, tmp_path: Path) -> None:
    told = []
    started = time.monotonic()
    summary = fetch_looks(source(tmp_path, server, per_second=10), 4, lambda _, counts: told.append(counts))
    assert time.monotonic() - started >= 0.3  # the first at once, three more a tenth of a second apart
    assert summary == FetchSummary(0, 0, 4, 0, 1)
    assert told == [{"done": 4, "of": 4, "fetched": 4, "dead": 0, "failed": 0}]


def test_ids_cannot_lead_out_of_the_folder(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"'\.\./\.\./x' would lie outside"):
        fetch_looks(source(tmp_path, server, [pair("../../x", "ab01")]))
    assert not server.requests


def test_a_source_without_addresses_says_what_it_needs(tmp_path: Path) -> None:
    for without in (stl_source(tmp_path), Simulator(SIZES["tiny"])):
        with pytest.raises(SettingError, match=r"has no \[looks\.fetch\].*give it a url"):
            fetch_looks(without)


def test_a_line_that_was_cut_short_is_written_again_and_a_broken_one_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / DEAD_LINKS).write_text('{"id": "cd02", "url": "u", "status": 404}\n{"id": "ab')
    assert fetch_looks(source(tmp_path, server)) == FetchSummary(0, 1, 4, 0, 0)
    assert (tmp_path / DEAD_LINKS).read_text() == '{"id": "cd02", "url": "u", "status": 404}\n'
    (tmp_path / DEAD_LINKS).write_text("[]\n")
    with pytest.raises(SourceError, match=r"line 1 of .*dead_links\.jsonl is no"):
        fetch_looks(source(tmp_path, server))


def write_toml(root: Path, fetch: dict) -> Path:
    lines = ['name = "stl"', 'root = "."', "first_day = 2019-01-01", "[looks]", 'kind = "stl"', 'path = "fashion.json"']
    lines += ['categories = "fashion-cat.json"', 'image = "images/{id}.png"', "[looks.fetch]"]
    (root / "stl.toml").write_text("\n".join([*lines, *(f"{key} = {json.dumps(fetch[key])}" for key in fetch)]))
    return root / "stl.toml"


def test_the_command_says_what_became_of_the_images(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def configured(**values: object) -> Settings:
        return Settings.model_validate(values)

    server.faults = ["", "404"]
    stl_source(tmp_path)
    toml = write_toml(tmp_path, {"url": server.url + "/{id[0:2]}/{id}.png", "per_second": 1000})
    monkeypatch.setattr(verb, "settings", lambda: configured(source="files", source_config=toml))
    assert cli.main(["fetch-looks", "--limit", "3"]) == 0
    assert "0 were there, 2 fetched, 1 gone from the server, 0 failed (run again), 2 left" in capsys.readouterr().out
    monkeypatch.setattr(verb, "settings", lambda: configured(source="simulator"))
    assert cli.main(["fetch-looks"]) == 1
    assert "has no [looks.fetch]" in capsys.readouterr().out


KILLED = """
import sys
from pathlib import Path
from recsys_pipeline.adapters.sources.fetch_looks import fetch_looks
from recsys_pipeline.adapters.sources.files import FilesSource
fetch_looks(FilesSource.from_toml(Path(sys.argv[1])))
"""


def test_killed_in_the_middle_it_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    ids = [f"{number:04}" for number in range(40)]
    dead = set(ids[::7])
    server.files = {f"{name}.png": plain((int(name), 0, 0), 64) for name in ids if name not in dead}
    lines = [pair(name, "0000") for name in ids[1:]]
    fetch = {"url": server.url + "/{id}.png", "per_second": 20.0}
    found = stl_source(tmp_path, lines, {"0000": "Home"}, image="images/{id}.png", fetch=fetch)
    toml = write_toml(tmp_path, fetch)
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(toml)])
    try:
        deadline = time.monotonic() + 30
        while len(server.requests) < 12 and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(SourceError, match="another process is fetching"):
            fetch_looks(found)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    before = len(server.requests)
    assert 12 <= before < 40
    summary = fetch_looks(found)
    assert summary.present + summary.fetched == len(ids) - len(dead)
    assert (summary.dead, summary.failed) == (len(dead), 0)
    times = Counter(name for name, _ in server.requests)
    again = [name for name, count in times.items() if count > 1]
    assert len(again) <= 1, "only what was under way when it was killed is asked for again"
    assert names(tmp_path) == sorted(server.files)
    for name, content in server.files.items():
        assert (tmp_path / "images" / name).read_bytes() == content


def test_an_image_that_is_too_large_or_drips_is_left_and_nothing_of_it_stays(server: Server, tmp_path: Path) -> None:
    server.files["ab/ab01.png"] = IMAGES["ab/ab01.png"] + bytes(60_000)
    server.faults = ["", "", "drip"]
    started = time.monotonic()
    assert fetch_looks(source(tmp_path, server, image_mb=0.05, image_s=0.4)) == FetchSummary(0, 0, 3, 2, 0)
    assert time.monotonic() - started < 3
    assert names(tmp_path) == ["5c01.png", "5c02.png", "ef03.png"]


def test_a_call_brings_no_more_than_it_may_and_the_next_goes_on(server: Server, tmp_path: Path) -> None:
    two = (len(IMAGES["5c/5c01.png"]) + len(IMAGES["ab/ab01.png"])) / 1e6
    assert fetch_looks(source(tmp_path, server, run_mb=two)) == FetchSummary(0, 0, 2, 0, 3)
    assert fetch_looks(source(tmp_path, server, run_s=1e-9)) == FetchSummary(2, 0, 1, 0, 2)
    assert fetch_looks(source(tmp_path, server)) == FetchSummary(3, 0, 2, 0, 0)


def test_a_full_disk_is_named_and_not_the_server(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str, part: Path, *__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(part))

    monkeypatch.setattr(download_file, "_continue", refuse)
    with pytest.raises(OSError, match="No space left on device"):
        fetch_looks(source(tmp_path, server))
