"""One file from a local server that drops, stalls, lies and fails."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from recsys_pipeline.adapters.sources.download_file import Patience, fetch_file, fetch_text
from recsys_pipeline.core.errors import SourceError
from recsys_pipeline_tests.adapters.local_server import Server, local_server

CONTENT = bytes(range(256)) * 4096
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
QUICK = Patience(timeout_s=0.3, attempts=3, backoff_s=0.01)


@pytest.fixture
def server() -> Iterator[Server]:
    with local_server({"data.bin": CONTENT}) as running:
        yield running


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_arrives_whole_and_leaves_nothing_else(server: Server, tmp_path: Path) -> None:
    fetch_file(f"{server.url}/data.bin", tmp_path / "data.bin", MD5, QUICK)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["data.bin"]
    assert server.ranges == [None]


def test_dropped_connection_is_continued_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.faults = ["drop", "drop"]
    fetch_file(f"{server.url}/data.bin", tmp_path / "data.bin", MD5, QUICK)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    half = len(CONTENT) // 2
    assert server.ranges == [None, f"bytes={half}-", f"bytes={half + half // 2}-"]


def test_a_later_call_continues_what_an_earlier_one_began(server: Server, tmp_path: Path) -> None:
    server.faults = ["drop"]
    with pytest.raises(SourceError, match=r"data\.bin did not arrive in 1 attempts, .*closed after 524288 of 1048576"):
        fetch_file(f"{server.url}/data.bin", tmp_path / "data.bin", MD5, replace(QUICK, attempts=1))
    assert not (tmp_path / "data.bin").exists()
    fetch_file(f"{server.url}/data.bin", tmp_path / "data.bin", MD5, QUICK)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=524288-"


def test_server_that_ignores_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.faults = ["drop", "no range"]
    fetch_file(f"{server.url}/data.bin", tmp_path / "data.bin", MD5, QUICK)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_file_that_changed_meanwhile_is_not_glued_together(server: Server, tmp_path: Path) -> None:
    server.faults = ["drop"]
    with pytest.raises(SourceError):
        fetch_file(f"{server.url}/data.bin", tmp_path / "data.bin", None, replace(QUICK, attempts=1))
    server.files["data.bin"], server.etag = CONTENT[::-1], '"two"'
    fetch_file(f"{server.url}/data.bin", tmp_path / "data.bin", None, QUICK)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT[::-1]


def test_without_validator_and_checksum_nothing_is_continued(server: Server, tmp_path: Path) -> None:
    server.faults, server.etag = ["drop"], None
    fetch_file(f"{server.url}/data.bin", tmp_path / "data.bin", None, QUICK)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_rest_that_is_longer_than_the_file_starts_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT + b"more")
    fetch_file(f"{server.url}/data.bin", tmp_path / "data.bin", MD5, QUICK)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_missing_file_fails_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.bin answered 404 .*: check the address"):
        fetch_file(f"{server.url}/none.bin", tmp_path / "none.bin", None, QUICK)
    assert len(server.requests) == 1
    assert fetch_text(f"{server.url}/none.bin", QUICK) is None


def test_server_error_is_retried_and_then_told(server: Server, tmp_path: Path) -> None:
    server.faults = ["500", "503"]
    fetch_file(f"{server.url}/data.bin", tmp_path / "data.bin", MD5, QUICK)
    server.faults = ["500"] * 3
    with pytest.raises(SourceError, match="did not arrive in 3 attempts, the last ended with: HTTP Error 500"):
        fetch_file(f"{server.url}/data.bin", tmp_path / "other.bin", MD5, QUICK)


def test_stalled_server_times_out_and_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.faults = ["stall"]
    fetch_file(f"{server.url}/data.bin", tmp_path / "data.bin", MD5, QUICK)
    assert len(server.requests) == 2


def test_unreachable_server_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="did not arrive in 3 attempts"):
        fetch_file("http://127.0.0.1:9/data.bin", tmp_path / "data.bin", None, QUICK)


def test_wrong_checksum_discards_the_download(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=rf"data\.bin has MD5 {MD5} instead of {'0' * 32}"):
        fetch_file(f"{server.url}/data.bin", tmp_path / "data.bin", "0" * 32, QUICK)
    assert names(tmp_path) == []
