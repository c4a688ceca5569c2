"""The pages that people work in, in a real browser: the asset graph, a materialisation by hand, the daily report."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from recsys_pipeline.core.reports.accuracy.leaderboard import ranking_section
from recsys_pipeline.core.reports.accuracy.resampling import Estimate
from recsys_pipeline.core.reports.looks.looks_section import looks_section
from recsys_pipeline.core.reports.page.page import ReportData, render_page
from recsys_pipeline.core.reports.page.pictures import LookExample, LookMatch
from recsys_pipeline_tests.browser.chromium import NEEDS_CHROMIUM

PROJECT = Path(__file__).parents[2]
GROUPS = ("dataset", "folds", "learning", "models", "neighbors", "reports")
HISTORY_DAYS = 3
WAIT_MS = 30_000
ESTIMATES = [
    Estimate(model, metric, k, value, value * 0.9, value * 1.1, 100)
    for model, value in (("popularity", 0.1), ("als", 0.2))
    for metric in ("ndcg", "recall")
    for k in (10, 20)
]
LOOKS = [Estimate("stl", "same_category_accuracy", 0, 0.86, 0.8, 0.9, 400)]

pytestmark = NEEDS_CHROMIUM


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a tiny marketplace with folders of its own."""
    home = tmp_path_factory.mktemp("deployment")
    dagster_home = home / "dagster"
    dagster_home.mkdir()
    (dagster_home / "dagster.yaml").write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RECSYS_", "DAGSTER_"))}
    return {
        **kept,
        "DAGSTER_HOME": str(dagster_home),
        "RECSYS_HOME": str(home / "data"),
        "RECSYS_SOURCE": "simulator",
        "RECSYS_SIZE": "tiny",
        "RECSYS_START_DATE": str(datetime.now(UTC).date() - timedelta(days=HISTORY_DAYS)),
        "RECSYS_REPORTS_AT": f"127.0.0.1:{free_port()}",
        "WANDB_MODE": "disabled",
    }


@pytest.fixture(scope="module")
def address(deployment: dict[str, str]) -> Iterator[str]:
    """Where the UI, started as `make ui` does, answers; it has ended, with all its processes, when the module is done.

    It starts in a folder of its own, because `dagster dev` lets a `.env` that it finds win over the environment.
    """
    port = free_port()
    command = [sys.executable, "-m", "recsys_pipeline.cli", "ui", "--port", str(port)]
    folder = Path(deployment["DAGSTER_HOME"])
    shutil.copy(PROJECT / "workspace.yaml", folder)
    log = folder / "server.log"
    started = time.monotonic()
    with log.open("w") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=deployment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/server_info", server, log)
        print(f"\nDagster UI ready after {time.monotonic() - started:.1f} s")
        yield f"http://127.0.0.1:{port}"
    finally:
        _stop(server)
    assert not list((Path(deployment["RECSYS_HOME"]) / ".dagster").glob("ui-*")), "it ended whole, and said so"


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A desktop page that no other test has touched."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(WAIT_MS)
    yield context.new_page()
    context.close()


def test_the_asset_graph_lists_the_groups(page: Page, address: str) -> None:
    page.goto(f"{address}/asset-groups")
    for group in GROUPS:
        expect(page.get_by_text(group, exact=True).first).to_be_visible(timeout=WAIT_MS)


def test_a_day_is_materialised_from_the_page(page: Page, address: str, deployment: dict[str, str]) -> None:
    page.goto(f"{address}/assets/dataset/items")
    page.get_by_text("Materialize…").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Latest", exact=True).click()
    dialog.get_by_role("button", name=re.compile("^Launch")).click()
    expect(dialog).to_be_hidden(timeout=WAIT_MS)
    page.goto(f"{address}/runs")
    expect(page.get_by_text("Success", exact=True).first).to_be_visible(timeout=2 * WAIT_MS)
    made = list((Path(deployment["RECSYS_HOME"]) / "store" / "simulator-tiny" / "dataset" / "items").glob("*/current"))
    assert len(made) == 1, "one day was chosen in the dialog"
    page.goto(f"{address}/assets/dataset/items?partition={made[0].parent.name}")
    expect(page.get_by_text("largest categories").first).to_be_visible(timeout=WAIT_MS)


def test_the_report_opens_without_a_request(page: Page, tmp_path: Path) -> None:
    picture = np.full((40, 30, 3), 120, np.uint8)
    look = LookExample(
        "scene", picture, (0.1, 0.2, 0.5, 0.9), "chair", picture, (LookMatch("lamp", picture, 0.9, True),)
    )
    sections = (ranking_section(ESTIMATES, [], "protocol"), looks_section(LOOKS, [look], "protocol"))
    report = tmp_path / "index.html"
    report.write_text(render_page(ReportData("marketplace", "2026-03-01", "abc123", (), sections)), encoding="utf-8")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    outside = [url for url in requests if url != report.as_uri() and not url.startswith("data:image/")]
    assert outside == []
    expect(page.locator(".headline")).to_contain_text("als ranks best: NDCG@10 0.200")
    expect(page.locator("section#leaderboard svg").first).to_be_visible()
    widths = page.locator("section#looks img").evaluate_all("pictures => pictures.map(one => one.naturalWidth)")
    assert widths == [30, 30, 30], "the scene, what was looked for and the match are decoded"


@pytest.mark.parametrize("width", [390, 1440])
def test_the_report_fits_its_window(chromium: Browser, tmp_path: Path, width: int) -> None:
    report = tmp_path / "index.html"
    page_data = ReportData("marketplace", "2026-03-01", "f" * 64, (), (ranking_section(ESTIMATES, [], "protocol"),))
    report.write_text(render_page(page_data), encoding="utf-8")
    page = chromium.new_page(viewport={"width": width, "height": 800})
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def _wait_until_ready(url: str, server: subprocess.Popen, log: Path, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    pytest.fail(f"dagster dev is not ready (exit status {server.poll()}):\n{log.read_text()[-3000:]}")


def _stop(server: subprocess.Popen) -> None:
    """SIGTERM, as Ctrl-C or a supervisor would; children that outlive their parent are killed with its group."""
    server.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait(5)
