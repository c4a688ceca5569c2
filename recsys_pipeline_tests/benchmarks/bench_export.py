"""Export of a large catalogue's vectors: peak memory, time, and a kill in the middle; bar: at most 2 GiB resident.

    python -m recsys_pipeline_tests.benchmarks.bench_export [--products 40000]

Embeds random 64×64 images of a memory-mapped file with untrained towers of the default config. A first process is
killed once half of the shards are there, a second finishes; a third does all of it, in a shuffled order. Both digests
must be the same. Prints one JSON line.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from recsys_pipeline.core.folds.triplets import LooksTrain
from recsys_pipeline.core.models.stl import StlConfig, untrained
from recsys_pipeline.core.neighbors.exports import SHARD_ROWS, export_vectors
from recsys_pipeline_tests.benchmarks.bench_stl import IMAGE_SIZE, random_looks

BAR_MIB = 2048


def export(folder: Path, shards: str, kill_after: int, shuffled: bool) -> dict[str, Any]:
    """What a child process does; it dies by SIGKILL once it has embedded `kill_after` shards."""
    images = np.load(folder / "images.npy", mmap_mode="r")
    data = random_looks()
    rows = np.arange(len(data), dtype=np.int32)
    model = untrained(LooksTrain(data, rows, rows[:0]), StlConfig(), 0)
    order = np.random.default_rng(1).permutation(len(images)) if shuffled else np.arange(len(images))
    embedded = 0

    def embed(part: slice) -> np.ndarray:
        nonlocal embedded
        if embedded == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        embedded += 1
        return model.embed_products(images[order[part]] if shuffled else images[part])

    begin = time.perf_counter()
    table = export_vectors([f"p{row:07d}" for row in order], embed, folder / shards)
    return {
        "seconds": time.perf_counter() - begin, "shards_embedded": embedded, "digest": table.digest(),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def in_own_process(**request: Any) -> dict[str, Any]:
    """The result of `export`, or how the process ended."""
    command = [sys.executable, "-m", __spec__.name, "--one", json.dumps(request)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == -signal.SIGKILL:
        return {"killed": True}
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Write images, export twice, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=40_000)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        request = json.loads(options.one)
        print(json.dumps(export(Path(request.pop("folder")), **request)))
        return
    n_shards = -(-options.products // SHARD_ROWS)
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        shape = (options.products, IMAGE_SIZE, IMAGE_SIZE, 3)
        np.save(Path(folder) / "images.npy", rng.integers(0, 256, shape, np.uint8))
        killed = in_own_process(folder=folder, shards="one", kill_after=n_shards // 2, shuffled=False)
        resumed = in_own_process(folder=folder, shards="one", kill_after=-1, shuffled=False)
        whole = in_own_process(folder=folder, shards="two", kill_after=-1, shuffled=True)
    same = resumed["digest"] == whole["digest"]
    met = killed == {"killed": True} and same and max(resumed["peak_rss_mib"], whole["peak_rss_mib"]) <= BAR_MIB
    print(
        json.dumps({"products": options.products, "resumed": resumed, "whole": whole, "same_digest": same, "met": met})
    )


if __name__ == "__main__":
    main()
