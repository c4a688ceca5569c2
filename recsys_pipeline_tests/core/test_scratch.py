"""Folders that computations put things aside in: gone afterwards, and with the next one where a process was killed."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from recsys_pipeline.core.scratch import scratch_folder

HOLDS = (
    "import sys; from recsys_pipeline.core.scratch import scratch_folder\n"
    "with scratch_folder() as folder:\n"
    "    (folder / 'spilled').write_text('much'); print(folder, flush=True); sys.stdin.read()"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_nothing_is_left_after_an_error(place: Path) -> None:
    def stop(folder: Path) -> None:
        (folder / "file").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), scratch_folder() as folder:
        stop(folder)
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_and_what_a_living_one_has_stays(place: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    theirs = Path(other.stdout.readline().strip())
    assert theirs.parent == place
    with scratch_folder():
        assert (theirs / "spilled").is_file()
    other.kill()
    other.wait()
    with scratch_folder():
        assert not theirs.exists()
    assert list(place.iterdir()) == []
