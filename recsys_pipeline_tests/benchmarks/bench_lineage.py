"""Time to read the lineage of a store: `python -m recsys_pipeline_tests.benchmarks.bench_lineage --manifests 200,5000`.

The store is made up: 25 artifacts a day, each of four files, made from three of the same day and from itself the day
before, which is about what `batch_daily` writes.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from recsys_pipeline.adapters.lineage.graph import LineageGraph, read_graph
from recsys_pipeline.adapters.store.artifact_store import POINTER_NAME, ArtifactStore
from recsys_pipeline.adapters.store.manifest import MANIFEST_NAME, Manifest, Recipe, to_json, with_checksum
from recsys_pipeline.adapters.store.versions import STAGES
from recsys_pipeline.core.keys import ArtifactRef

PER_DAY, FIRST = 25, date(2020, 1, 1)
CONFIG = {f"setting_{n}": n / 7 for n in range(15)}
FILES = {f"part_{n}.parquet": {"bytes": 1000 * n, "sha256": f"{n:064x}"} for n in range(4)}
LIBRARIES = {f"library_{n}": f"1.{n}" for n in range(10)}


def manifests(count: int) -> Iterator[Manifest]:
    """As many as asked for, days in order."""
    for number in range(count):
        day, slot = divmod(number, PER_DAY)
        inputs = [_ref(day * PER_DAY + other) for other in range(max(0, slot - 3), slot)]
        inputs += [_ref(number - PER_DAY)] if day else []
        own = _ref(number)
        recipe = Recipe(own.key, own.partition, tuple(inputs), CONFIG, "v1", LIBRARIES)
        yield Manifest(recipe, own.digest, FILES, {"rows": number, "value": number / 3}, 1.0, f"{own.partition}T03:15")


def _ref(number: int) -> ArtifactRef:
    day, slot = divmod(number, PER_DAY)
    partition = (FIRST + timedelta(days=day)).isoformat()
    return ArtifactRef(f"{STAGES[slot * 6 // PER_DAY]}/subject_{slot:02d}", partition, f"{number:016x}{number:048x}")


def fill(store: ArtifactStore, count: int) -> None:
    """Write manifests, pointers and empty data files where a store keeps them."""
    for manifest in manifests(count):
        folder = f"{store.root}/{manifest.recipe.key}/{manifest.recipe.partition}"
        version = f"{folder}/{manifest.version}"
        store.fs.makedirs(version, exist_ok=True)
        for name in manifest.files:
            store.fs.pipe_file(f"{version}/{name}", b"")
        store.fs.pipe_file(f"{version}/{MANIFEST_NAME}", to_json(with_checksum(asdict(manifest)), indent=2).encode())
        store.fs.pipe_file(f"{folder}/{POINTER_NAME}", manifest.version.encode())


def timed(call: Callable[[], Any]) -> float:
    """Seconds of the fastest of three calls."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def measure(count: int, memory: bool) -> dict[str, Any]:
    """Figures of one store size."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"memory://bench{count}" if memory else f"{folder}/store"
        store = ArtifactStore(url, cache=Path(folder) / "cache")
        fill(store, count)
        graph = read_graph(store)
        last = max(graph.nodes, key=lambda ref: (ref.partition, ref.key))
        return {
            "store": "memory" if memory else "local",
            "manifests": count,
            "edges": len(graph.edges()),
            "read_s": round(timed(lambda: read_graph(store)), 3),
            "in_order_s": round(timed(lambda: LineageGraph(graph.nodes).in_order()), 3),
            "upstream_s": round(timed(lambda: graph.upstream(last)), 3),
            "find_s": round(timed(lambda: graph.find(last.digest)), 3),
        }


def main() -> None:
    """Print one JSON line per size and kind of store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifests", default="200,5000", help="sizes, between commas")
    for count in map(int, parser.parse_args().manifests.split(",")):
        for memory in (False, True):
            print(json.dumps(measure(count, memory)), flush=True)


if __name__ == "__main__":
    main()
