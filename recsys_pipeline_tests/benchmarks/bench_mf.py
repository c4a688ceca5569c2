"""Matrix factorisation beside its peers: time to the same accuracy, peak memory, time per rating.

    RECSYS_TEST_DATA=<folder> python -m recsys_pipeline_tests.benchmarks.bench_mf [--only gowalla] [--rows 1000000]

Each figure comes from a process of its own, contenders in turns, so that a slow spell of the machine hits all; the best
of `--repeats` counts. Everything is compiled before the clock starts, and data are in memory. A peer that is not
installed (`pip install -e .[peers]`) is reported as absent. Writes JSON (`--out`) and prints a table.

- `gowalla`, `ncf-ml1m`: implicit feedback, 64 factors. `implicit` fits its default 15 epochs of conjugate gradients;
  ours minimises the same objective (`mf_contenders.same_objective`; settings in `OURS`) until a validation tenth of
  train has the same NDCG@10. The number of epochs is found there, then both are timed on all of train.
- `ml-1m`: explicit values with biases, 64 factors, RMSE on a random tenth, against Cornac's MF and Surprise's SVD.
- `memory`, `scaling`: synthetic ratings, 64 factors; peak resident memory over the ratings' own size, and nanoseconds
  per rating and epoch.
"""

import argparse
import dataclasses
import importlib.util
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from recsys_pipeline.core.models import als
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline_tests.benchmarks.mf_contenders import (
    PEER_EPOCHS,
    SIZE,
    Vectors,
    cornac_values,
    ours_implicit,
    ours_values,
    peer_implicit,
    sparse,
    surprise_values,
    timed,
)

IMPLICIT = {"gowalla": {"alpha": 30.0, "reg": 1.0}, "ncf-ml1m": {"alpha": 2.0, "reg": 30.0}}
"""What ranked best for `implicit` on the validation tenth, of alpha 3 to 120 × reg 1 to 40 (Gowalla) and alpha 1.5 to
5 × reg 3 to 120 (NCF)."""
OURS = {
    "gowalla": {**IMPLICIT["gowalla"], "frequency_power": 0.0},
    "ncf-ml1m": {"alpha": 2.0, "reg": 21.0, "frequency_power": 0.5},
}
"""Gowalla: the same objective. NCF: beside it ρ = .5, of 0, .25, .5 × reg 21, 30, 42. `implicit` has no ρ, and with
ρ = 0 ours needs as many epochs as it does."""
CONTENDERS = {
    "gowalla": ["ours", "implicit"],
    "ncf-ml1m": ["ours", "implicit"],
    "ml-1m": ["ours", "cornac", "surprise"],
    "synthetic": ["ours"],
}


def read(data: str, folder: Path) -> Ratings:
    """The train rows of a data set; for ml-1m all rows."""
    from recsys_pipeline.adapters.splits.files import read_split
    from recsys_pipeline_tests.benchmarks.ncf_ml1m import read_ncf

    if data == "gowalla":
        return read_split([folder / "gowalla" / "train.txt.gz"], folder / "gowalla" / "test.txt.gz").train
    return read_ncf(folder).train if data == "ncf-ml1m" else read_values(folder / "ml-1m" / "ratings_no_ts.csv.gz")


def read_values(path: Path) -> Ratings:
    """User, item and value of each row, renumbered from 0."""
    import pandas as pd

    table = pd.read_csv(path)
    (user, users), (item, items) = (np.unique(table.iloc[:, at], return_inverse=True)[::-1] for at in (0, 1))
    value = table.iloc[:, 2].to_numpy(np.float32)
    return Ratings(
        user.astype(np.int32), item.astype(np.int32), value, np.zeros(len(value), np.int64), len(users), len(items)
    )


def synthetic(n: int, seed: int) -> Ratings:
    """Ratings of n / 100 users on n / 400 items; both are drawn with frequencies that fall as a power of the rank."""
    rng = np.random.default_rng(seed)
    n_users, n_items = max(n // 100, 10), max(n // 400, 10)
    user = (rng.random(n, np.float32) ** 1.5 * n_users).astype(np.int32)
    item = (rng.random(n, np.float32) ** 2 * n_items).astype(np.int32)
    user, item = np.minimum(user, n_users - 1, out=user), np.minimum(item, n_items - 1, out=item)
    value = rng.integers(1, 6, n, np.int8).astype(np.float32)
    return Ratings(user, item, value, np.zeros(n, np.int64), n_users, n_items)


def measure_implicit(data: str, contender: str, folder: Path, solver: str, epochs: int, aim: float) -> dict[str, Any]:
    """One fit on all of train; for `epochs` 0, the validation NDCG@10 by number of epochs instead."""
    train, settings = read(data, folder), (IMPLICIT if contender == "implicit" else OURS)[data]
    if epochs == 0:
        return {"by_epoch": validate(train, contender, settings, solver, aim)}
    if contender == "implicit":
        matrix = sparse(train)
        peer_implicit(matrix[:200], **settings)  # its own first-call costs
        return {"seconds": timed(lambda: peer_implicit(matrix, **settings))[0]}
    ours_implicit(train, 1, **settings, solver=solver)
    return {"seconds": timed(lambda: ours_implicit(train, epochs, **settings, solver=solver))[0]}


def validate(train: Ratings, contender: str, settings: dict[str, float], solver: str, aim: float) -> dict[int, float]:
    """NDCG@10 on a random tenth that the fit does not see; of ours, after ever more epochs up to that of `aim`."""
    held_out = np.random.default_rng(0).random(len(train)) < 0.1
    fitted, validation = train.take(~held_out), train.take(held_out)

    def judge(model: Vectors) -> float:
        return evaluate_ranking(model, fitted, validation, ks=(10,)).mean("ndcg", 10)

    if contender == "implicit":
        return {PEER_EPOCHS: judge(peer_implicit(sparse(fitted), **settings))}
    found: dict[int, float] = {}
    for epochs in range(1, PEER_EPOCHS + 1):
        found[epochs] = judge(ours_implicit(fitted, epochs, **settings, solver=solver))
        if found[epochs] >= aim:
            break
    return found


def measure_values(contender: str, folder: Path, solver: str) -> dict[str, Any]:
    """Seconds and test RMSE of one fit of biased factorisation, each with its author's or our swept settings."""
    rows = read("ml-1m", folder)
    held_out = np.random.default_rng(0).random(len(rows)) < 0.1
    train, test = rows.take(~held_out), rows.take(held_out)
    fit = {"ours": ours_values, "cornac": cornac_values, "surprise": surprise_values}[contender]
    seconds, predicted = fit(train, test, solver)
    return {"seconds": seconds, "rmse": float(np.sqrt(np.mean((np.clip(predicted, 1, 5) - test.value) ** 2)))}


def measure_synthetic(n: int, solver: str) -> dict[str, Any]:
    """Peak memory and time per rating and epoch of three epochs with values and biases."""
    config = als.AlsConfig(
        embedding_size=SIZE, epochs=3, solver=solver, gravity=0.0, target="value", use_user_bias=True,  # pyright: ignore[reportArgumentType] - checked by the config
        use_global_bias=True, half_life_days=0.0,
    )  # fmt: skip
    als.fit(synthetic(1000, 1), config, 0)
    before_mib, train = peak_mib(), synthetic(n, 0)
    als.fit(train, dataclasses.replace(config, epochs=0), 0)  # JAX compiles the draw of the start once per table size
    size_mib = sum(column.nbytes for column in (train.user, train.item, train.value, train.timestamp_us)) / 2**20
    seconds, _ = timed(lambda: als.fit(train, config, 0))
    return {
        "ratings": n, "seconds": seconds, "ns_per_rating_and_epoch": seconds / n / 3 * 1e9, "ratings_mib": size_mib,
        "peak_rss_mib": peak_mib(), "before_mib": before_mib, "peak_over_ratings": peak_mib() / size_mib,
    }  # fmt: skip


def peak_mib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_own_process(**request: Any) -> dict[str, Any]:
    """Run one measurement in a fresh process; BLAS with one thread, as `implicit` recommends."""
    module = "recsys_pipeline_tests.benchmarks.bench_mf"
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", module, "--one", json.dumps(request)], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def run_one(request: dict[str, Any]) -> dict[str, Any]:
    """What a child process measures."""
    data, contender, solver = request["data"], request["contender"], request["solver"]
    if contender != "ours" and importlib.util.find_spec(contender) is None:
        return {"absent": contender}
    if data == "synthetic":
        return measure_synthetic(request["rows"], solver)
    folder = Path(os.environ["RECSYS_TEST_DATA"])
    if data == "ml-1m":
        return measure_values(contender, folder, solver)
    return measure_implicit(data, contender, folder, solver, request.get("epochs", 0), request.get("aim", 0.0))


def bench_implicit(data: str, solver: str, repeats: int) -> list[dict[str, Any]]:
    """Epochs to the peer's NDCG@10 on validation, then wall times in turns."""
    peer = in_own_process(data=data, contender="implicit", solver=solver)
    if "by_epoch" not in peer:
        return [{"data": data, "contender": "implicit", **peer}]
    aim = peer["by_epoch"][str(PEER_EPOCHS)]
    mine = in_own_process(data=data, contender="ours", solver=solver, aim=aim)
    reached = [int(n) for n, ndcg in mine["by_epoch"].items() if ndcg >= aim]
    epochs = min(reached, default=max(int(n) for n in mine["by_epoch"]))
    rows = [
        {"data": data, "contender": "implicit", "epochs": PEER_EPOCHS, "validation_ndcg@10": aim, "runs": []},
        {"data": data, "contender": f"ours ({solver})", "epochs": epochs, "reached": bool(reached),
         "validation_ndcg@10": mine["by_epoch"][str(epochs)], "runs": []},
    ]  # fmt: skip
    for _ in range(repeats):
        for row, name in zip(rows, ("implicit", "ours"), strict=True):
            row["runs"].append(in_own_process(data=data, contender=name, solver=solver, epochs=row["epochs"]))
    for row in rows:
        row["seconds"] = min(run["seconds"] for run in row["runs"])
    return rows


def bench_values(solver: str, repeats: int) -> list[dict[str, Any]]:
    """Wall time and RMSE of each contender that is there."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS["ml-1m"]}
    for _ in range(repeats):
        for name, runs in found.items():
            runs.append(in_own_process(data="ml-1m", contender=name, solver=solver))
    return [
        {"data": "ml-1m", "contender": name, **min(runs, key=lambda run: run.get("seconds", 0.0))}
        for name, runs in found.items()
    ]


def bench_synthetic(sizes: list[int], solver: str, repeats: int) -> list[dict[str, Any]]:
    """The quickest of each size's runs, sizes in turns."""
    found: dict[int, list[dict[str, Any]]] = {n: [] for n in sizes}
    for _ in range(repeats):
        for n, runs in found.items():
            runs.append(in_own_process(data="synthetic", contender="ours", solver=solver, rows=n))
    return [
        {"data": "synthetic", "contender": f"ours ({solver})", **min(runs, key=lambda run: run.get("seconds", 0.0))}
        for runs in found.values()
    ]


def main() -> None:
    """Measure in child processes, write JSON, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 5_000_000, 20_000_000], help="synthetic")
    parser.add_argument("--solver", default="cg", choices=["als", "cg", "subspace"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=None, help="JSON file")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run_one(json.loads(options.one))))
        return
    rows: list[dict[str, Any]] = []
    for data in options.only:
        if data in IMPLICIT:
            rows += bench_implicit(data, options.solver, options.repeats)
        elif data == "ml-1m":
            rows += bench_values(options.solver, options.repeats)
        else:
            rows += bench_synthetic(options.rows, options.solver, options.repeats)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(rows, indent=2) + "\n")
    for row in rows:
        shown = {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
        print("  ".join(f"{key} {value}" for key, value in shown.items() if key != "runs"))


if __name__ == "__main__":
    main()
