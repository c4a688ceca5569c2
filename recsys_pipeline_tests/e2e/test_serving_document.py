"""The requests of docs/serving.md, as they stand there, against the first day's marketplace."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from recsys_pipeline.adapters.serving.policies import policies
from recsys_pipeline.core.serving.policy.parts import KINDS, classes
from recsys_pipeline_tests.deployment import Deployment
from recsys_pipeline_tests.service.running import running

TEXT = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
REQUESTS = re.findall(r"^curl .*$", TEXT, flags=re.MULTILINE)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on PATH")
def test_every_request_is_answered(first_day: Deployment, tmp_path: Path) -> None:
    assert len(REQUESTS) == 10
    shutil.copytree(first_day.store.root, tmp_path / "store")
    with running(tmp_path) as service:
        address = f"{service.client.base_url.host}:{service.client.base_url.port}"
        for request in REQUESTS:
            command = [*shlex.split(request.replace("localhost:8000", address)), "--fail-with-body"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{request}: {done.stdout}{done.stderr}"
            assert done.stdout


def test_the_policy_that_it_shows_can_be_used(tmp_path: Path) -> None:
    shown = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
    (tmp_path / "shown.yaml").write_text(shown[0], encoding="utf-8")
    assert policies(tmp_path)["shown"].seed == 1


@pytest.mark.parametrize("kind", KINDS)
def test_it_names_every_part(kind: str) -> None:
    (row,) = re.findall(rf"^\| {kind} \|(.*)$", TEXT, flags=re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == set(classes(kind))
