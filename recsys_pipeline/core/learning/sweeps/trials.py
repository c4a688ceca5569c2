"""Records of a sweep's trials, and how they are kept so that an interrupted sweep goes on where it stopped."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recsys_pipeline.core.errors import ArtifactError

FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"


@dataclass(frozen=True)
class Trial:
    """One trial: what was tried, what came out, how it ended and why, and how long it took.

    A trial that was `stopped` has the metrics of the epoch at which it was; a `failed` one has none, or none that
    decides.
    """

    number: int
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    state: str
    seconds: float
    """Trials that ran together share their time equally."""
    error: str = ""
    rungs: Mapping[int, float] = field(default_factory=dict)
    """The sweep's metric at each epoch at which the trial was compared with others."""
    run_id: str = ""
    """The W&B run that the sweep's server had made for it; empty offline."""
    is_baseline: bool = False
    """Whether it is the settings in use, which nobody proposed; its `params` are all fields of the config then."""


def save_trial(path: Path, trial: Trial) -> None:
    """Append a trial to a file of JSON lines."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(trial)) + "\n")


def load_trials(path: Path) -> list[Trial]:
    """The trials that `save_trial` wrote; none where there is no file. A last line that was cut short is left out.

    Raises `ArtifactError` for any other line that cannot be read.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    trials = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            rungs = {int(epoch): value for epoch, value in record.pop("rungs").items()}
            trials.append(Trial(**record, rungs=rungs))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if number == len(lines):
                break
            raise ArtifactError(
                f"{path}, line {number} is no trial ({error}): delete the file to start anew"
            ) from error
    return trials


def reusable(earlier: Sequence[Trial], number: int, params: Mapping[str, Any]) -> Trial | None:
    """The earlier trial of this number, if it tried the same params."""
    return next((trial for trial in earlier if trial.number == number and dict(trial.params) == dict(params)), None)
