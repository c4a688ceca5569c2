"""An asset is declared once: what follows from it, and what is read without being declared is told."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from recsys_pipeline.adapters.store.artifact_store import Built
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.defs import asset as assets
from recsys_pipeline.defs.asset import Asset, asset, declared, fed
from recsys_pipeline.defs.declarations import asset_modules
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.making import as_dagster
from recsys_pipeline.defs.partitions import configured_partitions
from recsys_pipeline.defs.reads import After, Cached, Earlier, Read, Traced
from recsys_pipeline.defs.resources import RESOURCES, StoreResource
from recsys_pipeline_tests.deployment import Deployment

DAY, NEXT_DAY = "2026-01-05", "2026-01-06"
asset_modules()


@pytest.fixture(autouse=True)
def _none_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "ASSETS", {})


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with Deployment(tmp_path).active():
        yield tmp_path


def make(made: Asset, day: str = DAY) -> bool:
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    asset_of = as_dagster(made, frozenset(), configured_partitions())
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [asset_of], partition_key=day, resources=RESOURCES, run_config=quiet, raise_on_error=False,
            instance=instance,
        )  # fmt: skip
        for event in result.get_step_failure_events():
            error = event.step_failure_data.error
            assert error is not None
            FAILURES.append(str(error.cause or error))
        return result.success


FAILURES: list[str] = []


def _write(make: Make) -> Built:
    (make.directory / "text").write_text(" ".join(f"{one.manifest.recipe.partition}" for one in make.inputs))
    return Built({})


def _peek(make: Make) -> Built:
    """Reads what it does not declare, as a careless hand would."""
    make.store.get("dataset/first", make.partition)
    return _write(make)


def _newest_but_one(make: Make) -> list:
    return [make.store.get("dataset/first", DAY)]


FIRST = {"key": "dataset/first", "kinds": {"python"}, "needs": "interactions"}


@pytest.mark.usefixtures("home")
def test_a_read_that_is_not_declared_fails_and_is_named() -> None:
    first = asset(**FIRST)(_write)
    assert make(first)
    hidden = asset("dataset/second", kinds={"python"}, needs="interactions")(_peek)
    assert not make(hidden)
    assert f"dataset/second reads dataset/first@{DAY}, and does not declare it" in FAILURES.pop()
    assets.ASSETS.clear()
    assert make(asset("dataset/second", kinds={"python"}, reads=[Read("dataset/first")])(_peek))


@pytest.mark.usefixtures("home")
def test_all_that_is_declared_is_in_the_recipe() -> None:
    first = asset(**FIRST)(_write)
    assert make(first)
    assert make(first, NEXT_DAY)
    reads = [Read("dataset/first"), Earlier("dataset/second"), Traced("chosen", trace=_newest_but_one)]
    second = asset("dataset/second", kinds={"python"}, reads=[*reads, Cached("dataset/second")])(_write)
    assert make(second)
    assert make(second, NEXT_DAY)
    store = StoreResource().open()
    inputs = {(ref.key, ref.partition) for ref in store.get("dataset/second", NEXT_DAY).manifest.recipe.inputs}
    assert inputs == {("dataset/first", DAY), ("dataset/first", NEXT_DAY), ("dataset/second", DAY)}
    (edge,) = (
        as_dagster(second, frozenset(), configured_partitions()).specs_by_key[dg.AssetKey(["dataset", "second"])].deps
    )
    assert edge.asset_key == dg.AssetKey(["dataset", "first"])


def test_what_a_source_feeds_follows_from_what_is_read() -> None:
    for key, needs, reads in (
        ("dataset/a", "interactions", []),
        ("dataset/b", "items", []),
        ("models/of_a", "", [Read("dataset/a")]),
        ("models/of_both", "", [Read("dataset/a"), Read("dataset/b")]),
        ("models/of_a_and_maybe_b", "", [Read("dataset/a"), Read("dataset/b", needs="items")]),
        ("reports/after_both", "", [Read("models/of_a"), After("models/of_both", needs="interactions.items")]),
        ("reports/of_any", "", [Read("models/of_a", needs="interactions"), Read("dataset/b", needs="items")]),
        ("reports/of_items", "items", [Earlier("reports/of_items")]),
    ):
        asset(key, kinds={"python"}, needs=needs, reads=reads)(_write)
    assert {one.key for one in fed(["interactions"])} == {
        "dataset/a", "models/of_a", "models/of_a_and_maybe_b", "reports/after_both", "reports/of_any",
    }  # fmt: skip
    assert {one.key for one in fed(["items"])} == {"dataset/b", "reports/of_any", "reports/of_items"}
    assert fed([]) == []
    assert len(fed(["interactions", "items"])) == len(assets.ASSETS)


def test_a_key_is_declared_once() -> None:
    asset(**FIRST)(_write)
    with pytest.raises(SettingError, match="dataset/first is declared twice"):
        asset(**FIRST)(_write)
    with pytest.raises(SettingError, match="no asset dataset/third: there are dataset/first"):
        declared("dataset/third")


def test_importing_any_module_opens_nothing() -> None:
    """With a source that cannot be opened and a home that is a file, every module is imported nevertheless."""
    code = (
        "import importlib, pkgutil, recsys_pipeline\n"
        "names = [one.name for one in pkgutil.walk_packages(recsys_pipeline.__path__, 'recsys_pipeline.')]\n"
        "skipped = ('recsys_pipeline.definitions', 'recsys_pipeline.commands', 'recsys_pipeline.first_settings')\n"
        "for name in names:\n"
        "    if not name.startswith(skipped):\n"
        "        importlib.import_module(name)\n"
        "from recsys_pipeline.defs.resources import configured_source\n"
        "assert configured_source.cache_info().currsize == 0\n"
    )
    environment = {"RECSYS_SOURCE": "no such source", "RECSYS_HOME": "/dev/null/home", "PATH": "/usr/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
