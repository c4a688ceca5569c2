"""What of a run or an artifact arrives in W&B: states, tables, pictures, aliases, files or a note in their place."""

import shutil
from pathlib import Path

from recsys_pipeline.adapters.wandb.mirror import Report
from recsys_pipeline.adapters.wandb.outbox import CRASHED, FAILED, FINISHED, RunFacts
from recsys_pipeline.adapters.wandb.tracker import OutboxRun
from recsys_pipeline_tests.adapters.mirror_fixtures import DAY, Home, push
from recsys_pipeline_tests.adapters.mirror_server import View
from recsys_pipeline_tests.mirrored import differences
from recsys_pipeline_tests.wandb_double import WandbDouble
from recsys_pipeline_tests.wandb_double.client import Client

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da6364f80f00010501012718e366"
    "0000000049454e44ae426082"
)
"""One pixel."""


def facts(home: Home, name: str) -> RunFacts:
    """A run that made no artifact."""
    return RunFacts(id=f"{home.project}-{name}", name=name, job_type="learning", project=home.project, config={})


def test_runs_end_in_wandb_as_they_ended_here(server: WandbDouble, client: Client, home: Home) -> None:
    for state in (FINISHED, FAILED, CRASHED):
        entry = home.outbox.open(facts(home, state))
        entry.add({"metrics": {"loss": 1.0}})
        entry.add({"alert": {"title": "Drift", "text": "price doubled"}})
        entry.close(state)
    client.call(push, home)
    runs = {run.display_name: run for run in server.runs(home.project)}
    assert {name: run.state for name, run in runs.items()} == {
        FINISHED: "finished",
        FAILED: "failed",
        CRASHED: "failed",
    }
    assert runs[CRASHED].tags == (CRASHED,)
    assert runs[FINISHED].alerts == (("Drift", "price doubled"),)


def test_a_run_that_logged_nothing_arrives(server: WandbDouble, client: Client, home: Home) -> None:
    home.outbox.open(facts(home, "empty")).close(FINISHED)
    assert client.call(push, home).left == ()
    (run,) = server.runs(home.project)
    assert (run.state, server.history(run.name)) == ("finished", [])


def test_tables_and_pictures_arrive(server: WandbDouble, client: Client, home: Home) -> None:
    entry = home.outbox.open(facts(home, "tables"))
    run = OutboxRun(entry)
    run.log_table("trials", ["reg", "ndcg"], [[0.1, 0.5], [0.2, float("nan")]])
    run.log_picture("progress", PNG, "best so far")
    run.log({"best": 0.5})
    entry.close(FINISHED)
    assert client.call(push, home).left == ()
    (found,) = server.runs(home.project)
    assert [name for row in server.history(found.name) for name in row if name[0] != "_"] == [
        "trials", "progress", "best",
    ]  # fmt: skip
    assert {Path(name).suffix for name in found.files if name.startswith("media/")} == {".json", ".png"}


def test_aliases_belong_to_what_is_current_in_any_order(server: WandbDouble, client: Client, home: Home) -> None:
    """A backfill of an older day, and an older version of a day, take nothing from the newest."""
    newest = home.make("models/als", partition="2026-01-03")
    old = home.make("models/als", content="first", config={"reg": 1})
    current = home.make("models/als", content="second", config={"reg": 2})
    client.call(push, home)
    by_digest = {one.metadata["digest"]: one.aliases for one in server.artifacts(home.project)}
    assert {"latest", "2026-01-03"} <= by_digest[newest.manifest.digest]
    assert DAY not in by_digest[old.manifest.digest]
    assert DAY in by_digest[current.manifest.digest]
    assert "latest" not in by_digest[current.manifest.digest]


def test_what_is_gone_is_noted_so_that_edges_are_complete(server: WandbDouble, client: Client, home: Home) -> None:
    model = home.make("models/als", tracked=False)
    home.make("reports/ranking", model)
    shutil.rmtree(model.path)
    assert client.call(push, home).left == ()
    assert differences(home.graph, View(server, home)) == []
    (note,) = [one for one in server.artifacts(home.project) if one.type == "models"]
    assert "gone" in note.metadata["absent"]


def test_a_damaged_artifact_is_noted_not_uploaded(server: WandbDouble, client: Client, home: Home) -> None:
    model = home.make("models/als")
    (model.path / "data.txt").unlink()
    assert client.call(push, home).left == ()
    (note,) = server.artifacts(home.project)
    assert set(note.files) == {"absent.json"}
    assert "damaged" in note.metadata["absent"]


def test_large_files_go_by_reference(server: WandbDouble, client: Client, home: Home) -> None:
    model = home.make("models/als", tracked=False)
    assert client.call(push_by_reference, home).left == ()
    (found,) = server.artifacts(home.project)
    assert found.files["data.txt"] == (model.path / "data.txt").as_uri()
    assert not found.files["manifest.json"].startswith("file:")


def push_by_reference(home: Home) -> Report:
    from recsys_pipeline.adapters.wandb import artifacts as wandb_artifacts

    limit, wandb_artifacts.COPY_LIMIT_BYTES = wandb_artifacts.COPY_LIMIT_BYTES, 3
    try:
        return push(home)
    finally:
        wandb_artifacts.COPY_LIMIT_BYTES = limit


def test_no_key_is_ever_written(server: WandbDouble, client: Client, home: Home) -> None:
    home.make("models/als")
    client.call(push, home)
    files = [path for folder in (home.folder, server.folder / "client") for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 3, "something was written"
    assert [path for path in files if server.key.encode() in path.read_bytes()] == []
