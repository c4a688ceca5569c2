"""Which sweep a file is, by what the source feeds; and what W&B and the terminal are told where trials tie."""

import io
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from rich.console import Console

from recsys_pipeline.adapters.at_a_shell import typed
from recsys_pipeline.adapters.wandb.tracker import SilentRun, Tracker
from recsys_pipeline.commands import sweep as sweeping
from recsys_pipeline.commands.sweep import print_trials, tuned_by
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.learning.sweeps.sweep import SweepResult, Trial, best_of, parse_sweep
from recsys_pipeline.core.learning.sweeps.trials import FAILED, FINISHED
from recsys_pipeline.core.models import discover
from recsys_pipeline.defs.learning.build import _track, read_sweep_file
from recsys_pipeline.defs.learning.trial_runs import TrialRuns
from recsys_pipeline.defs.learning.tuned import TUNED
from recsys_pipeline_tests.core.learning.sweeps.test_sweep import CONF, HEAD, Toy

BOTH = """
method: grid
metric: {name: ndcg@10, goal: maximize}
parameters: {embedding_size: {values: [4, 8]}, reg: {value: 0.1}}
"""
SPACE = "  size: {values: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}\n"


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A sweep of fields that models of interactions and of looks have."""
    (tmp_path / "both.yaml").write_text(BOTH)
    return str(tmp_path / "both.yaml")


def feed(monkeypatch: pytest.MonkeyPatch, *kinds: str) -> None:
    source = SimpleNamespace(name="shop", provides=frozenset(kinds))
    monkeypatch.setattr(sweeping, "configured_source", lambda: source)


@pytest.fixture
def shell() -> Iterator[None]:
    """As where somebody has typed `recsys sweep`."""
    with typed("sweep"):
        yield


@pytest.mark.usefixtures("shell")
def test_what_the_source_cannot_feed_is_not_offered(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(monkeypatch, "interactions", "items")
    assert tuned_by(file, "als").model == "als"
    with pytest.raises(SettingError, match=r"shop does not have what stl learns from; it feeds: als, bayesian_mf, "):
        tuned_by(file, "stl")
    with pytest.raises(SettingError, match="fits als, sampled_mf, svdpp: choose with --model"):
        tuned_by(file, None)
    feed(monkeypatch, "looks")
    looks = Path(file).with_name("looks.yaml")
    looks.write_text(BOTH.replace("ndcg@10", "validation_accuracy"))
    assert tuned_by(str(looks), None).model == "stl"
    with pytest.raises(SettingError, match=r"metric\.name must be one of validation_accuracy, by which single scenes"):
        tuned_by(file, None)


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_that_is_shipped_finds_its_model(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(monkeypatch, "interactions", "looks")
    tuned = tuned_by(str(path), None)
    assert path.stem.startswith(tuned.model)
    shipped = Path(str(tuned.form.model_fields["file"].default))
    assert (CONF / shipped.name).exists(), "what the form runs by default is there"


@pytest.mark.usefixtures("shell")
def test_a_file_named_after_one_of_several_models_is_its(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(monkeypatch, "interactions")
    named = Path(file).with_name("sampled_mf_small.yaml")
    named.write_text(BOTH)
    assert tuned_by(str(named), None).model == "sampled_mf"
    assert set(TUNED) == {f"learning/{name}_sweep" for name, spec in discover().items() if fields(spec.config)}


def result(*losses: float) -> SweepResult:
    trials = [Trial(number, {"size": number + 1}, {"loss": loss}, FINISHED, 1.0) for number, loss in enumerate(losses)]
    return best_of(parse_sweep(HEAD.format(method="grid") + SPACE, Toy), trials)


class Run(SilentRun):
    """Keeps what W&B would be told."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        self.captions: dict[str, str] = {}

    def log(self, metrics: Mapping[str, float | int]) -> None:
        self.figures |= metrics

    def log_picture(self, name: str, png: bytes, caption: str = "") -> None:  # noqa: ARG002 - as the run's
        self.captions[name] = caption


def told(found: SweepResult) -> Run:
    run = Run()
    _track(run, found)
    return run


def test_wandb_hears_of_ties_and_of_no_importance_that_comes_from_them() -> None:
    tied, apart = told(result(*[0.5] * 11, 0.9)), told(result(*(0.1 * number for number in range(12))))
    assert not [name for name in tied.figures if name.startswith("importance")]
    assert tied.figures["trials with the best loss"] == 11
    assert tied.captions["importance"] == "the best trials cannot be told apart: 11 of 12 come to the same"
    assert apart.figures["importance of size"] == 1
    assert apart.figures["trials with the best loss"] == 1


def test_the_terminal_says_both_that_trials_tie_and_that_the_space_is_tried() -> None:
    printed, found = io.StringIO(), result(*[0.5] * 12)
    print_trials(Console(file=printed, width=200), found.sweep, list(found.trials))
    assert "All 12 points of the space were tried: the sweep ended there." in printed.getvalue()
    assert "12 trials come to the best loss, and cannot be told apart." in printed.getvalue()
    printed.truncate(0)
    print_trials(Console(file=printed, width=200), found.sweep, list(result(0.5, 0.6).trials))
    assert "told apart" not in printed.getvalue()
    assert "points of the space" not in printed.getvalue()


def test_a_form_names_files_of_the_project_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a browser asks for is no reason to read any file of the machine, nor one that a link leads to."""
    project, secret = tmp_path / "project", tmp_path / "secret.yaml"
    (project / "conf").mkdir(parents=True)
    secret.write_text("method: grid")
    (project / "conf" / "link.yaml").symlink_to(secret)
    (project / "conf" / "own.yaml").write_text("method: random")
    monkeypatch.chdir(project)
    assert read_sweep_file("conf/own.yaml", "learning/als_sweep") == "method: random"
    for file in (str(secret), "../secret.yaml", "conf/link.yaml"):
        with pytest.raises(SettingError, match="is not below the project's folder"):
            read_sweep_file(file, "learning/als_sweep")
        with typed("sweep"):
            assert read_sweep_file(file, "recsys sweep run") == "method: grid"
    with pytest.raises(SettingError, match=r"conf/none.yaml cannot be read \(No such file or directory\)"):
        read_sweep_file("conf/none.yaml", "learning/als_sweep")


def log_of(caplog: pytest.LogCaptureFixture, *trials: Trial) -> list[str]:
    """What the step log says of a sweep of four trials."""
    sweep = parse_sweep(HEAD.format(method="random") + SPACE, Toy)
    tracker = mock.create_autospec(Tracker, instance=True)
    tracker.run.return_value = nullcontext(SilentRun())
    with caplog.at_level("INFO", "recsys_pipeline.steps"), TrialRuns(tracker, sweep, "s", [], n_trials=4) as watch:
        for trial in trials:
            watch.ended(trial)
    return [record.getMessage().strip() for record in caplog.records]


def test_every_trial_says_how_long_the_rest_takes(caplog: pytest.LogCaptureFixture) -> None:
    in_use = Trial(0, vars(Toy()), {"loss": 0.5}, FINISHED, 60.0, is_baseline=True)
    own = [Trial(number, {"size": number}, {"loss": 1 / number}, FINISHED, 10.0) for number in (1, 4)]
    assert log_of(caplog, in_use, *own) == [
        "trial 0, the settings in use, finished  loss 0.5000  best 0.5000  60.0 s  about 4 minutes for 4 trials",
        "trial 1 finished  loss 1.0000  best 0.5000  10.0 s  about 30 s for 3 trials",
        "trial 4 finished  loss 0.2500  best 0.2500  10.0 s  about 20 s for 2 trials",
    ]


def test_a_sweep_that_can_take_nothing_says_so_before_its_trials_run(caplog: pytest.LogCaptureFixture) -> None:
    broken = Trial(0, vars(Toy()), {"rmse": 1.0}, FAILED, 2.0, "no metric 'loss' among rmse", is_baseline=True)
    told = log_of(caplog, broken)
    assert told[0].startswith("trial 0, the settings in use, failed  no metric 'loss' among rmse  2.0 s")
    assert "no trial of this sweep will be taken" in told[1]
