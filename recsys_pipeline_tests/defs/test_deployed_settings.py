"""Settings that last: the file's values are the forms' defaults, a run's own go over them, mistakes have their line."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import Field

from recsys_pipeline.adapters.settings_file import SettingsFile, parse_settings
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.definitions import defs
from recsys_pipeline.defs import asset as assets
from recsys_pipeline.defs import building, deployed_settings, released
from recsys_pipeline.defs.building import build_definitions
from recsys_pipeline.defs.config_form import config_form
from recsys_pipeline.defs.deployed_settings import DEFAULT, FORM, FORMS, check_settings, origins_in_run, with_defaults
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.making import as_dagster
from recsys_pipeline.defs.partitions import configured_partitions
from recsys_pipeline.defs.resources import RESOURCES
from recsys_pipeline_tests.defs.test_config_form import Example, Together

KEY = "models/probe"
SEEN: list[tuple[dict[str, Any], dict[str, str]]] = []


class Written(dg.Config):
    """A form that is written by hand."""

    share: float = Field(0.1, gt=0, lt=1, description="How much.")
    place: str = Field("", description="Where.")


def file_of(text: str) -> SettingsFile:
    return parse_settings(text, Path("conf/settings.yaml"), "a1b2")


def probe_file(*lines: str) -> SettingsFile:
    """A file that sets these fields of the probe, from line 4 on."""
    return file_of("ops:\n  models__probe:\n    config:\n" + "".join(f"      {line}\n" for line in lines))


@pytest.fixture
def _no_probe() -> Iterator[None]:
    """The forms of the real assets alone, before and afterwards."""
    before = dict(FORMS)
    yield
    FORMS.clear()
    FORMS.update(before)


def _probe(make: Make) -> dg.MaterializeResult:
    values = make.form.model_dump()
    SEEN.append((values, origins_in_run(make.context, values)))
    return dg.MaterializeResult()


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch, _no_probe: None) -> Any:
    """Makes an asset under a file of settings and runs it with a form; what it saw, and where that was from."""

    def run(file: SettingsFile, form: type[dg.Config], given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        monkeypatch.setattr(deployed_settings, "settings_file", lambda: file)

        monkeypatch.setattr(assets, "ASSETS", {})
        declared = assets.asset(KEY, kinds={"python"}, form=form, by_hand=True)(_probe)
        asset = as_dagster(declared, frozenset(), configured_partitions())
        ops = {"models__probe": {"config": given}} if given else {}
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        assert dg.materialize(
            [asset], run_config={"ops": ops, **quiet}, partition_key="2026-01-05", resources=RESOURCES
        ).success
        return SEEN.pop()

    return run


@pytest.mark.parametrize(
    ("form", "line", "name", "value"),
    [
        (config_form(Example), "size: 5", "size", 5),
        (config_form(Example), "size: 5e0", "size", 5),
        (config_form(Example), "widths: [7]", "widths", [7]),
        (config_form(Example), "mode: exact", "mode", "exact"),
        (Written, "share: 0.3", "share", 0.3),
    ],
)
def test_a_run_that_says_nothing_takes_the_files_value(
    deployed: Any, form: type[dg.Config], line: str, name: str, value: object
) -> None:
    values, origins = deployed(probe_file(line), form, {})
    assert values[name] == value
    assert values == {**form().model_dump(), name: value}, "and the defaults of the code elsewhere"
    assert origins == {**dict.fromkeys(values, DEFAULT), name: "conf/settings.yaml"}


def test_a_runs_own_value_goes_over_it(deployed: Any) -> None:
    values, origins = deployed(probe_file("size: 5", "rate: 0.2"), config_form(Example), {"size": 7})
    assert (values["size"], values["rate"]) == (7, 0.2)
    assert (origins["size"], origins["rate"]) == (FORM, "conf/settings.yaml")


def test_the_launchpad_says_whence_a_default_is() -> None:
    form = with_defaults(KEY, Written, probe_file("share: 0.3")).form
    assert form.model_fields["share"].description == "How much. (The default is from conf/settings.yaml.)"
    with pytest.raises(ValueError, match="share"):
        form(share=1.5)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["sise: 5"], ["conf/settings.yaml, line 4: models/probe has no field 'sise'; similar are size"]),
        (["rate: 0.2", "size: 10"], ["conf/settings.yaml, line 5: models/probe.size must be at most 9, got 10"]),
        (["mode: slow"], ["conf/settings.yaml, line 4: models/probe.mode must be 'quick' or 'exact', got 'slow'"]),
        (["eager: on"], ["conf/settings.yaml, line 4: models/probe.eager must be of type bool, got 'on'"]),
        (["size: 0", "rate: 2"], ["line 4: models/probe.size must be at least 1", "line 5: models/probe.rate must be"]),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_is_allowed(lines: list[str], said: list[str]) -> None:
    found = with_defaults(KEY, config_form(Example), probe_file(*lines))
    assert len(found.problems) == len(said)
    assert [part for part, problem in zip(said, found.problems, strict=True) if part not in problem] == []
    assert found.form().model_dump() == config_form(Example)().model_dump(), "nothing of it is taken"


def test_values_that_do_not_go_together_are_told_at_their_asset() -> None:
    (problem,) = with_defaults(KEY, config_form(Together), probe_file("low: 8", "high: 2")).problems
    assert problem == "conf/settings.yaml, line 2: models/probe: low is 8, above high, 2"


def test_an_asset_that_nobody_has_is_told_with_those_like_it(monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_of("ops:\n  models__al:\n    config: {epochs: 3}\n")
    monkeypatch.setattr(deployed_settings, "settings_file", lambda: file)
    with pytest.raises(SettingError, match=r"line 2: the code has no asset 'models/al' .*similar are .*models/als"):
        check_settings()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("popularity", "'popularity' cannot be released, since it has no item_vectors"),
        ("sampled-mf", "'sampled-mf' cannot be released, since there is no such model"),
        ("3", "must be a valid string, got 3"),
    ],
)
def test_definitions_are_declared_for_the_default_and_never_built_for_a_model_that_cannot_be_released(
    monkeypatch: pytest.MonkeyPatch, model: str, said: str
) -> None:
    """The assets' declarations cannot raise what only they can tell the line of."""
    file = file_of(f"ops:\n  serving__release:\n    config:\n      model: {model}\n")
    for module in (deployed_settings, released):
        monkeypatch.setattr(module, "settings_file", lambda: file)
    assert released.released.__wrapped__().name == "als"
    with pytest.raises(SettingError, match=rf"^conf/settings\.yaml, line \d: serving/release.*{re.escape(said)}"):
        build_definitions(building.Deployment.configured())


def test_settings_of_what_this_source_cannot_feed_are_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_of("ops: {models__stl: {config: {epochs: 3}}, serving__release: {config: {k: 20}}}")
    monkeypatch.setattr(deployed_settings, "settings_file", lambda: file)
    check_settings()


def test_every_form_of_every_job_is_the_deployments() -> None:
    """A form that went round the file would be one whose settings do not last."""
    from recsys_pipeline.defs.overrides import forms_of

    jobs = [defs.resolve_job_def(name) for name in ("batch_daily", "sweep_weekly", "speed_hourly")]
    for job in jobs:
        assert {key: FORMS[key].form for key in forms_of(job)} == forms_of(job)


def test_origins_of_an_unknown_form_are_none() -> None:
    assert dataclasses.asdict(with_defaults(KEY, Written, SettingsFile()))["origins"] == {
        "share": DEFAULT, "place": DEFAULT,
    }  # fmt: skip
