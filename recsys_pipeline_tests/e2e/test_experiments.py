"""A run with other settings than the deployment's: judged, not served unless asked, and no later day's beginning."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pytest

from recsys_pipeline.adapters.serving.releases import POINTER, champion, history, pretend_promoted
from recsys_pipeline.adapters.settings_file import Given, SettingsFile
from recsys_pipeline.defs import models
from recsys_pipeline.defs.deployed_settings import FORMS, Deployed, with_defaults
from recsys_pipeline_tests.deployment import DAY, TINY_MODELS, Deployment

RELEASED = ("models/als", "serving/release", "serving/decision", "serving/champion")
"""What is made again; the rest of the day is as it was, which is quicker."""
DATA = ("dataset/interactions", "dataset/snapshot", "folds/prequential")
NEXT = "2026-01-13"
EXPERIMENT = {"reg": 0.11}
FILE = "conf/settings.yaml"


def tiny_fields(keys: tuple[str, ...], **changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The tiny models' fields by op, with others in their places."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in {**TINY_MODELS, "serving/champion.promote": ""}.items():
        key, _, field = name.rpartition(".")
        if key in keys:
            found.setdefault(key.replace("/", "__"), {})[field] = value
    for op, fields in changes.items():
        found[op] = {**found.get(op, {}), **fields}
    return found


@pytest.fixture(autouse=True)
def _tiny_is_deployed() -> Iterator[None]:
    """The tiny models are what this deployment sets, as if its file did."""
    deployed = dict(FORMS)
    for name, value in {**TINY_MODELS, "serving/champion.promote": ""}.items():
        key, _, field = name.rpartition(".")
        deployed = with_file(deployed, key, **{field: value})
    with mock.patch.dict(FORMS, deployed):
        yield


def with_file(forms: dict[str, Deployed], key: str, **fields: Any) -> dict[str, Deployed]:
    """The deployment's forms with more in its file."""
    given = {name: Given(value, 1) for name, value in fields.items()}
    made = with_defaults(key, forms[key].form, SettingsFile(fields={key: given}))
    return {**forms, key: Deployed(made.form, {**forms[key].origins, **dict.fromkeys(fields, FILE)})}


@pytest.fixture(scope="module")
def deployment(first_day: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The first day's deployment in a copy, whose release nobody had to ask for."""
    home = tmp_path_factory.mktemp("experiments") / "home"
    shutil.copytree(first_day.home / "data" / "store", home / "data" / "store")
    made = Deployment(home)
    release = made.artifacts(DAY)["serving/release"]
    (Path(made.store.root) / POINTER).unlink()
    pretend_promoted(made.store, {DAY: (release.manifest.digest, release.path.name)})
    return made


def release_again(
    deployment: Deployment, keys: tuple[str, ...] = RELEASED, **changes: dict[str, Any]
) -> dict[str, Any]:
    """Run the day from its model to the pointer; what the pointer says."""
    result = deployment.materialize(*keys, day=DAY, **tiny_fields(keys, **changes))
    assert result.success
    (pointer,) = result.asset_materializations_for_node("serving__champion")
    return {name: entry.value for name, entry in pointer.metadata.items()}


def served(deployment: Deployment) -> str:
    found = champion(deployment.store)
    assert found is not None
    return found.path.name


def test_it_is_judged_told_and_not_served_and_the_days_own_is_found_again(
    first_day: Deployment, deployment: Deployment
) -> None:
    own, before = first_day.digests(DAY), served(deployment)
    told = release_again(deployment, models__als=EXPERIMENT)
    assert told["outcome"].startswith(
        "passed, and is not promoted: an experiment: models/als.reg is 0.11 (this run's form), the deployment's is "
        f"0.1 (default). `recsys compare {DAY}`"
    )
    assert f"`recsys release promote {DAY}` serves it" in told["outcome"]
    assert "promote=auto" in told["outcome"]
    (row,) = told["settings that differ"].records
    assert row.data == {
        "setting": "models/als.reg", "here": "0.11", "from": "this run's form", "deployment": "0.1",
        "its origin": "default",
    }  # fmt: skip
    assert served(deployment) == before
    assert "serving/decision" in deployment.digests(DAY), "the gate has its say"
    assert deployment.digests(DAY)["models/als"] != own["models/als"]

    with mock.patch.object(models, "fit_of", side_effect=AssertionError("fitted again")):
        assert release_again(deployment)["outcome"] == "is the champion already"
    assert deployment.digests(DAY) == own


def test_it_stands_beside_the_days_own_in_the_shell_and_on_a_page(deployment: Deployment) -> None:
    release_again(deployment, models__als=EXPERIMENT)
    told = deployment.recsys("compare", DAY)
    assert told.code == 0, told.text
    assert "models/als.reg 0.1 (default) 0.11 (this run's form)" in told.text
    for part in ("Experiment", "gate: passed", "NDCG@10", "users would see another list", "Page"):
        assert part in told.text
    (page,) = (deployment.home / "data" / "reports").rglob(f"{DAY}-experiment-*.html")
    text = page.read_text()
    assert "Lists side by side" in text
    assert "models/als.reg" in text
    assert deployment.recsys("compare").text == told.text, "the newest day with an experiment"


def test_what_cannot_be_compared_is_said_with_the_way_out(deployment: Deployment) -> None:
    unknown = deployment.recsys("compare", DAY, "--digest", "zz")
    assert unknown.code == 1
    assert f"there is no experiment of {DAY} whose digest begins with zz" in unknown.text


def test_what_an_experiment_made_is_one_wherever_it_is_used(deployment: Deployment) -> None:
    """The run that moves the pointer need not be the one that had the form."""
    before = served(deployment)
    fields = tiny_fields(("models/als",), models__als=EXPERIMENT)
    assert deployment.materialize("models/als", day=DAY, **fields).success
    assert "models/als.reg is 0.11" in release_again(deployment, RELEASED[1:])["outcome"]
    assert served(deployment) == before


def test_the_next_day_goes_on_from_the_days_own(first_day: Deployment, deployment: Deployment) -> None:
    own, keys = first_day.artifacts(DAY)["models/als"].manifest.ref, (*DATA, "models/als")
    assert deployment.materialize("models/als", day=DAY, **tiny_fields(keys[-1:], models__als=EXPERIMENT)).success
    assert deployment.artifacts(DAY)["models/als"].manifest.ref != own, "the experiment is the day's current model"
    assert deployment.materialize(*keys, day=NEXT, **tiny_fields(keys)).success
    made = deployment.artifacts(NEXT)["models/als"].manifest
    assert [ref for ref in made.recipe.inputs if ref.key == "models/als"] == [own]
    assert made.metrics["fit"].startswith(f"continued from {DAY}")


def test_a_value_that_the_file_has_since_is_none(deployment: Deployment) -> None:
    before = served(deployment)
    with mock.patch.dict(FORMS, with_file(dict(FORMS), "models/als", **EXPERIMENT)):
        assert release_again(deployment, models__als=EXPERIMENT)["outcome"] == "promoted"
    assert served(deployment) != before
    assert release_again(deployment)["outcome"] == "promoted", "without it in the file the day's own is served again"
    assert served(deployment) == before


def test_it_is_served_where_it_is_asked_for_and_a_default_run_of_the_day_leaves_it(deployment: Deployment) -> None:
    before = served(deployment)
    asked = release_again(deployment, models__als=EXPERIMENT, serving__champion={"promote": "auto"})
    assert asked["outcome"] == "promoted"
    assert history(deployment.store)[-1].why.startswith("an experiment: models/als.reg is 0.11")
    chosen = served(deployment)
    outcome = release_again(deployment)["outcome"]
    assert "an experiment of 2026-01-12 is served, because somebody asked for it" in outcome
    assert served(deployment) == chosen
    assert deployment.recsys("release", "promote", DAY).code == 0
    assert served(deployment) == before


def test_never_leaves_even_the_deployments_own_to_people(deployment: Deployment) -> None:
    with mock.patch.dict(FORMS, with_file(dict(FORMS), "models/als", **EXPERIMENT)):
        told = release_again(deployment, models__als=EXPERIMENT, serving__champion={"promote": "never"})
    assert told["outcome"] == (
        "passed, and is not promoted, since `promote` is never; `recsys release promote 2026-01-12` serves it"
    )
    assert "settings that differ" not in told


@pytest.mark.parametrize(
    ("tag", "form", "deployed", "wish"),
    [
        (None, None, "", ""), ("auto", None, "", "auto"), ("never", None, "", "never"), (None, None, "never", "never"),
        ("auto", None, "never", "auto"), ("auto", "never", "", "never"), ("never", "", "", ""),
    ],
)  # fmt: skip
def test_a_runs_form_goes_over_its_tag_and_that_over_the_deployment(
    tag: str | None, form: str | None, deployed: str, wish: str
) -> None:
    from recsys_pipeline.defs.promotion import PROMOTE_TAG, PromotionConfig, wish_of

    seen = []

    @dg.asset(key=["serving", "champion"])
    def pointer(context: dg.AssetExecutionContext, config: PromotionConfig) -> None:
        given = config if form is not None else PromotionConfig(promote=deployed)  # pyright: ignore[reportArgumentType]
        seen.append(wish_of(context, given))

    ops = {} if form is None else {"serving__champion": {"config": {"promote": form}}}
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    tags = {} if tag is None else {PROMOTE_TAG: tag}
    assert dg.materialize([pointer], run_config={"ops": ops, **quiet}, tags=tags).success
    assert seen == [wish]
