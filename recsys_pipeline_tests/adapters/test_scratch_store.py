"""The scratch store points to what an artifact was made from, whatever became current since."""

from pathlib import Path

import pytest

from recsys_pipeline.adapters.lineage.graph import read_graph
from recsys_pipeline.adapters.lineage.scratch_store import Inputs, lay_out_inputs
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.core.keys import ArtifactRef

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    url = str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path}"
    return ArtifactStore(url, cache=tmp_path / "cache")


def made(store: ArtifactStore, key: str, day: str, *inputs: Artifact, text: str = "") -> Artifact:
    def build(directory: Path) -> Built:
        (directory / "data.txt").write_text(f"{key} {day} {text}")
        return Built({})

    refs = tuple(artifact.manifest.ref for artifact in inputs)
    return store.build(Recipe(key, day, refs, {"text": text}, "v1", {}), build)


def laid_out(store: ArtifactStore, artifact: Artifact, root: Path) -> tuple[Inputs, dict[tuple[str, str], str]]:
    """What was wrong with the inputs, and what is current in the scratch store, as text."""
    graph = read_graph(store)
    inputs = lay_out_inputs(store, graph, graph.version(artifact.manifest.ref), root)
    scratch = ArtifactStore(str(root), cache=root / "cache")
    keys = {f"{path.parts[-4]}/{path.parts[-3]}" for path in root.glob("*/*/*/current")}
    current = {(key, day): scratch.get(key, day).path / "data.txt" for key in keys for day in scratch.partitions(key)}
    return inputs, {name: path.read_text() for name, path in current.items()}


def test_recorded_versions_are_current_and_days_behind_a_snapshot_too(store: ArtifactStore, tmp_path: Path) -> None:
    days = [made(store, "dataset/interactions", day) for day in DAYS[:2]]
    first = made(store, "dataset/snapshot", DAYS[1], *days)
    late = made(store, "dataset/interactions", DAYS[0], text="with late events")
    last_day = made(store, "dataset/interactions", DAYS[2])
    second = made(store, "dataset/snapshot", DAYS[2], late, last_day, first)
    made(store, "dataset/interactions", DAYS[2], text="later still")
    made(store, "models/als", DAYS[2], second)
    inputs, current = laid_out(store, second, tmp_path / "scratch")
    assert inputs == Inputs((), ())
    assert current == {
        ("dataset/interactions", DAYS[0]): f"dataset/interactions {DAYS[0]} with late events",
        ("dataset/interactions", DAYS[1]): f"dataset/interactions {DAYS[1]} ",
        ("dataset/interactions", DAYS[2]): f"dataset/interactions {DAYS[2]} ",
        ("dataset/snapshot", DAYS[1]): f"dataset/snapshot {DAYS[1]} ",
    }


def test_every_folder_of_the_same_content_is_there(store: ArtifactStore, tmp_path: Path) -> None:
    items = [made(store, "dataset/items", day) for day in DAYS[:2]]
    first, second = (made(store, "dataset/looks", DAYS[0], source, text="same") for source in items)
    assert first.manifest.ref == second.manifest.ref
    assert first.path != second.path
    model = made(store, "models/stl", DAYS[0], second)
    laid_out(store, model, tmp_path / "scratch")
    for artifact in (first, second):
        path = tmp_path / "scratch" / "dataset" / "looks" / DAYS[0] / artifact.path.name / "data.txt"
        assert path.read_bytes() == (artifact.path / "data.txt").read_bytes()


def test_only_what_is_read_is_laid_out(store: ArtifactStore, tmp_path: Path) -> None:
    snapshot = made(store, "dataset/snapshot", DAYS[0])
    fold = made(store, "folds/prequential", DAYS[0], snapshot)
    model = made(store, "models/als", DAYS[0], fold)
    report = made(store, "reports/ranking", DAYS[0], model, snapshot)
    _, of_model = laid_out(store, model, tmp_path / "model")
    assert set(of_model) == {("folds/prequential", DAYS[0])}
    later = made(store, "reports/ranking", DAYS[1], report)
    _, of_report = laid_out(store, later, tmp_path / "report")
    assert set(of_report) == {("reports/ranking", DAYS[0]), ("dataset/snapshot", DAYS[0])}, "its lists name its users"


def test_ingestion_finds_the_days_before_so_that_it_leaves_them_alone(store: ArtifactStore, tmp_path: Path) -> None:
    *_, last = [made(store, "dataset/interactions", day) for day in DAYS]
    _, current = laid_out(store, last, tmp_path / "scratch")
    assert set(current) == {("dataset/interactions", day) for day in DAYS[:2]}


def test_gone_and_damaged_inputs_are_told_apart(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"), cache=tmp_path / "cache")
    fold, sweep = made(store, "folds/prequential", DAYS[0]), made(store, "learning/als_sweep", DAYS[0])
    model = made(store, "models/als", DAYS[0], fold, sweep)
    (fold.path / "data.txt").write_text("spoilt")
    (sweep.path / "manifest.json").unlink()
    inputs, _ = laid_out(store, model, tmp_path / "scratch")
    assert inputs.gone == (ArtifactRef("learning/als_sweep", DAYS[0], sweep.manifest.digest),)
    assert [text.split(" is missing")[0] for text in inputs.damaged] == [str(fold.path / "data.txt")]
