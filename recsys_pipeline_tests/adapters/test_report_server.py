"""Reports are served to read, from their folder alone."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys_pipeline.adapters.report_server import serving
from recsys_pipeline.core.errors import SettingError


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server over a folder with a page, beside files that are none of its business."""
    folder = tmp_path / "reports"
    (folder / "pictures").mkdir(parents=True)
    (folder / "2026-01-12.html").write_text("<p>a day</p>")
    (folder / ".half").write_text("not yet")
    (tmp_path / "secret.html").write_text("secret")
    (folder / "away.html").symlink_to(tmp_path / "secret.html")
    with serving(folder, "127.0.0.1", 0) as found:
        yield found


def status(url: str, method: str = "GET") -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_page_is_served_and_an_index_once_there_is_one(address: str, tmp_path: Path) -> None:
    with urllib.request.urlopen(f"{address}/2026-01-12.html", timeout=5) as answer:
        assert (answer.read(), answer.headers["Content-Type"]) == (b"<p>a day</p>", "text/html")
    assert status(f"{address}/") == 404
    (tmp_path / "reports" / "index.html").write_text("all days")
    assert status(f"{address}/") == 200


@pytest.mark.parametrize(
    "path", ["/pictures/", "/.half", "/../secret.html", "/%2e%2e/secret.html", "/away.html", "/no"]
)
def test_nothing_else_is(address: str, path: str) -> None:
    assert status(address + path) == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_written(address: str, method: str) -> None:
    assert status(f"{address}/2026-01-12.html", method) == 501


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(SettingError, match="set RECSYS_REPORTS_AT to a free port"),
            serving(tmp_path, "127.0.0.1", port),
        ):
            pass
