"""What the unmodified client does online, the double keeps: runs, artifacts, edges; and it can read them back."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb.errors import CommError

from recsys_pipeline_tests.wandb_double import Edge, WandbDouble
from recsys_pipeline_tests.wandb_double.client import Client, without_wandb

WANDB = Path(sys.executable).with_name("wandb")
BINARY = bytes(range(256)) * 40


def start_run(project: str, run_id: str, **more: Any) -> wandb.Run:
    return wandb.init(project=project, id=run_id, reinit="create_new", settings=wandb.Settings(silent=True), **more)


def artifact_with(name: str, files: dict[str, bytes]) -> wandb.Artifact:
    artifact = wandb.Artifact(name, type="models", metadata={"digest": "d" * 64})
    for path, content in files.items():
        with artifact.new_file(path, mode="wb") as file:
            file.write(content)
    return artifact


def log_metrics(project: str, exit_code: int = 0) -> None:
    config = {"reg": 0.1, "model": {"factors": 8}}
    with start_run(project, project, name="als", config=config, tags=["daily"], group="g", job_type="models") as run:
        for step in range(3):
            run.log({"loss": 3.0 - step})
        run.summary["ndcg@10"] = 0.25
        run.config.update({"late": True})
        run.alert("Drift", "price: median 45 → 135")
        run.finish(exit_code)


def test_an_online_run_is_kept_whole(client: Client, double: WandbDouble, project: str) -> None:
    client.call(log_metrics, project)
    (run,) = double.runs(project)
    assert (run.display_name, run.state, run.exit_code) == ("als", "finished", 0)
    assert (run.tags, run.group, run.job_type) == (("daily",), "g", "models")
    assert run.config == {"reg": 0.1, "model": {"factors": 8}, "late": True}
    assert (run.summary["loss"], run.summary["ndcg@10"]) == (1.0, 0.25)
    assert [(row["_step"], row["loss"]) for row in double.history(project)] == [(0, 3.0), (1, 2.0), (2, 1.0)]
    assert run.alerts == (("Drift", "price: median 45 → 135"),)
    assert {"config.yaml", "requirements.txt"} <= set(run.files)


def test_a_run_that_ends_badly_has_failed(client: Client, double: WandbDouble, project: str) -> None:
    client.call(log_metrics, project, exit_code=1)
    assert [(run.state, run.exit_code) for run in double.runs(project)] == [("failed", 1)]


def log_artifact(project: str, name: str, content: bytes, aliases: list[str]) -> str:
    with start_run(project, name) as run:
        logged = run.log_artifact(artifact_with(f"{project}-als", {"w.txt": content}), aliases=aliases)
        return logged.wait().version


def log_then_download(project: str) -> dict[str, Any]:
    files = {"weights.txt": b"1 2 3", "sub/binary": BINARY, "empty": b""}
    with start_run(project, f"{project}-maker") as run:
        run.log_artifact(artifact_with("als", files), aliases=["2026-01-02"]).wait()
    # The client keeps what it uploaded; without this nothing would be downloaded.
    shutil.rmtree(os.environ["WANDB_CACHE_DIR"])
    found = {}
    for reference in ("2026-01-02", "v0"):
        with start_run(project, f"{project}-user-{reference}") as run:
            used = run.use_artifact(f"als:{reference}")
            root = Path(used.download(root=f"down-{reference}"))
            found[reference] = {
                str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
            }
    return {"logged": files, "metadata": used.metadata, **found}


def test_an_artifact_makes_the_round_trip_by_alias_and_by_version(
    client: Client, double: WandbDouble, project: str
) -> None:
    found = client.call(log_then_download, project)
    assert found["2026-01-02"] == found["v0"] == found["logged"]
    assert found["metadata"] == {"digest": "d" * 64}
    (artifact,) = double.artifacts(project)
    assert (artifact.name, artifact.type, artifact.version) == ("als", "models", 0)
    assert artifact.aliases == {"latest", "2026-01-02"}
    assert set(artifact.files) == set(found["logged"])
    assert double.edges(project) == {
        Edge(f"{project}-maker", "output", "als:v0"),
        Edge(f"{project}-user-2026-01-02", "input", "als:v0"),
        Edge(f"{project}-user-v0", "input", "als:v0"),
    }
    assert sum(request.operation == "download" for request in double.requests()) >= len(found["logged"])


def test_an_alias_moves_to_the_newest_that_claims_it(client: Client, double: WandbDouble, project: str) -> None:
    assert client.call(log_artifact, project, f"{project}-1", b"one", ["champion", "2026-01-01"]) == "v0"
    assert client.call(log_artifact, project, f"{project}-2", b"two", ["champion", "2026-01-02"]) == "v1"
    aliases = {artifact.version: artifact.aliases for artifact in double.artifacts(project)}
    assert aliases == {0: {"2026-01-01"}, 1: {"2026-01-02", "champion", "latest"}}


def test_the_same_digest_logged_twice_is_one_version(client: Client, double: WandbDouble, project: str) -> None:
    assert client.call(log_artifact, project, f"{project}-1", b"same", ["2026-01-01"]) == "v0"
    before = len(double.requests())
    assert client.call(log_artifact, project, f"{project}-2", b"same", ["2026-01-02"]) == "v0"
    (artifact,) = double.artifacts(project)
    assert artifact.aliases == {"2026-01-01", "2026-01-02", "latest"}
    name = f"{project}-als:v0"
    assert double.edges(project) == {Edge(f"{project}-1", "output", name), Edge(f"{project}-2", "output", name)}
    assert "CommitArtifact" not in [request.operation for request in double.requests(before)]


def log_reference(project: str) -> None:
    with start_run(project, project) as run:
        artifact = wandb.Artifact("folds", type="folds")
        artifact.add_reference("https://store.example.org/folds", name="files", checksum=False)
        run.log_artifact(artifact).wait()


def test_a_reference_is_kept_as_its_address(client: Client, double: WandbDouble, project: str) -> None:
    client.call(log_reference, project)
    (artifact,) = double.artifacts(project)
    assert artifact.files == {"files": "https://store.example.org/folds"}


def log_table(project: str) -> None:
    with start_run(project, project) as run:
        table = wandb.Table(columns=["trial", "ndcg"], data=[[1, 0.2], [2, 0.3]])
        run.log({"trials": table, "best": wandb.plot.line(table, "trial", "ndcg", title="Best so far")})


def test_a_table_and_a_plot_are_kept(client: Client, double: WandbDouble, project: str) -> None:
    client.call(log_table, project)
    assert [(artifact.type, set(artifact.files)) for artifact in double.artifacts(project)] == [
        ("run_table", {"trials.table.json"})
    ]
    assert double.history(project)[0]["trials"]["nrows"] == 2


def log_steps(project: str, resume: str | None, losses: list[float]) -> bool:
    with start_run(project, project, resume=resume, config={"reg": 0.1} if resume is None else None) as run:
        for loss in losses:
            run.log({"loss": loss})
        return run.resumed


def test_a_run_is_resumed_by_its_id(client: Client, double: WandbDouble, project: str) -> None:
    assert client.call(log_steps, project, None, [3.0, 2.0]) is False
    assert client.call(log_steps, project, "allow", [1.0]) is True
    (run,) = double.runs(project)
    assert (run.config, run.state, run.summary["loss"]) == ({"reg": 0.1}, "finished", 1.0)
    assert [(row["_step"], row["loss"]) for row in double.history(project)] == [(0, 3.0), (1, 2.0), (2, 1.0)]


def log_offline(project: str) -> str:
    with start_run(project, project, mode="offline", config={"reg": 0.1}, tags=["offline"]) as run:
        run.log({"loss": 2.0})
        run.log_artifact(artifact_with("als", {"w.txt": b"offline"}), aliases=["2026-01-02"])
        folder = run.dir
    return str(Path(folder).parent)


def test_an_offline_run_is_synced_once(client: Client, double: WandbDouble, project: str) -> None:
    folder = client.call(log_offline, project)
    assert double.runs(project) == []
    environment = {**without_wandb(os.environ), **double.environment()}
    sync = [WANDB, "sync", folder]
    subprocess.run(sync, env=environment, capture_output=True, timeout=60, check=True)
    (run,) = double.runs(project)
    assert (run.state, run.config, run.tags, run.summary["loss"]) == ("finished", {"reg": 0.1}, ("offline",), 2.0)
    assert double.edges(project) == {Edge(project, "output", "als:v0")}


def read_back(project: str) -> dict[str, Any]:
    with start_run(project, f"{project}-user") as run:
        run.use_artifact(artifact_with("seen", {"x": b"x"}))
    api = wandb.Api()
    artifact = api.artifact(f"{project}/als:champion")
    artifact.aliases.append("promoted")
    artifact.metadata["looked"] = True
    artifact.save()
    run = api.run(f"{project}/{project}")
    maker = artifact.logged_by()
    return {
        "runs": [(run.id, run.state, run.config) for run in api.runs(project, order="+created_at")],
        "filtered": [run.id for run in api.runs(project, filters={"config.reg.value": {"$gt": 0.05}})],
        "history": [(row["_step"], row["loss"]) for row in run.scan_history()],
        "files": sorted(file.name for file in run.files()),
        "made": [made.name for made in run.logged_artifacts()],
        "used": [used.name for used in api.run(f"{project}/{project}-user").used_artifacts()],
        "maker": maker.id if maker else None,
        "versions": [version.version for version in api.artifacts("models", f"{project}/als")],
        "exists": [api.artifact_exists(f"{project}/als:{alias}") for alias in ("promoted", "absent")],
    }


def log_for_reading(project: str) -> None:
    with start_run(project, project, config={"reg": 0.1}) as run:
        run.log({"loss": 1.0})
        run.log_artifact(artifact_with("als", {"w.txt": b"read"}), aliases=["champion"]).wait()


def test_the_public_api_reads_what_was_written(client: Client, double: WandbDouble, project: str) -> None:
    client.call(log_for_reading, project)
    found = client.call(read_back, project)
    assert found["runs"] == [(project, "finished", {"reg": 0.1}), (f"{project}-user", "finished", {})]
    assert (found["filtered"], found["history"]) == ([project], [(0, 1.0)])
    assert "config.yaml" in found["files"]
    assert (found["made"], found["used"], found["maker"]) == (["als:v0"], ["seen:v0"], project)
    assert (found["versions"], found["exists"]) == (["v0"], [True, False])
    als = next(artifact for artifact in double.artifacts(project) if artifact.name == "als")
    assert als.aliases == {"latest", "champion", "promoted"}
    assert als.metadata["looked"] is True


def use_missing(project: str) -> None:
    with start_run(project, project) as run:
        run.use_artifact("nothing:latest")


def test_an_unknown_artifact_is_an_error_of_the_client(client: Client, double: WandbDouble, project: str) -> None:
    with pytest.raises(CommError, match="nothing:latest"):
        client.call(use_missing, project)
    assert double.edges(project) == set()


def test_the_fixture_gives_each_test_a_double_of_its_own(wandb_double: WandbDouble, double: WandbDouble) -> None:
    assert wandb_double.url != double.url
    assert (wandb_double.runs(), wandb_double.artifacts(), wandb_double.edges()) == ([], [], set())
    assert len(wandb_double.environment()["WANDB_API_KEY"]) == 40
