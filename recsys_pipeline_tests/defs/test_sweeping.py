"""Which sweep a file is, by what the source feeds; and what W&B and the terminal are told where trials tie."""

import io
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from recsys_pipeline.adapters.tracker import SilentRun
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.learning.sweeps.sweep import SweepResult, Trial, best_of, parse_sweep
from recsys_pipeline.core.learning.sweeps.trials import FINISHED
from recsys_pipeline.core.models import discover
from recsys_pipeline.defs import sweeping
from recsys_pipeline.defs.learning.build import _track
from recsys_pipeline.defs.learning.tuned import TUNED
from recsys_pipeline.defs.sweeping import print_trials, tuned_by
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
