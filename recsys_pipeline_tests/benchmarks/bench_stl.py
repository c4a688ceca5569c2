"""Times training of the shop-the-look towers beside the book's code; bar: at least twice as many images a second.

    python -m recsys_pipeline_tests.benchmarks.bench_stl [--repeats 3] [--steps 128] [--out data/bench-stl.json]

At the book's architecture (filters 16, 32, 64, 128; 64 dimensions; 64×64 pixels; batches of 16 triplets, which is 48
images), on looks of random pixels. Contenders, each in a process of its own, in turns, the fastest turn counting:

- `ours`: our training of the very same network (tower `book`), augmentation, masking and prefetch included
- `book`: network and loop of the book (`book_stl.py`), which neither augments nor masks
- `ours_style`: our training of the default tower

Runs on whatever device JAX finds. `cpu_s` are the seconds per step of all cores together; they say more than wall time
where the machine has other things to do. `wait` is the share of the time that the loop stood still for pixels: the
device was without work for no more than that.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.folds.triplets import LooksTrain
from recsys_pipeline.core.learning.looks.config import StlConfig
from recsys_pipeline.core.learning.looks.triplet_training import colours_of, trainer_of
from recsys_pipeline_tests.benchmarks import book_stl
from recsys_pipeline_tests.benchmarks.book_stl import Clock

FILTERS, OUTPUT_SIZE, IMAGE_SIZE, BATCH_SIZE = (16, 32, 64, 128), 64, 64, 16
IMAGES_PER_TRIPLET = 3
CONTENDERS = {"ours": "book", "book": "", "ours_style": "style"}
"""Towers of ours by contender."""
BAR = 2.0


def random_looks(n_scenes: int = 400, per_scene: int = 5, n_products: int = 1000, n_categories: int = 8) -> LookData:
    """Looks of noise with boxes: speed does not depend on what is in the pictures."""
    rng = np.random.default_rng(0)
    product = np.concatenate([rng.choice(n_products, per_scene, replace=False) for _ in range(n_scenes)])
    corner = rng.uniform(0, 0.6, (len(product), 2))
    return LookData(
        scene=np.repeat(np.arange(n_scenes), per_scene).astype(np.int32),
        product=product.astype(np.int32),
        box=np.concatenate([corner, corner + rng.uniform(0.1, 0.4, corner.shape)], axis=1).astype(np.float32),
        scene_ids=[f"s{row:05d}" for row in range(n_scenes)],
        product_ids=[f"p{row:05d}" for row in range(n_products)],
        categories=[f"c{row}" for row in range(n_categories)],
        product_category=rng.integers(0, n_categories, n_products).astype(np.int32),
        scene_images=rng.integers(0, 256, (n_scenes, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8),
        product_images=rng.integers(0, 256, (n_products, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8),
    )


def time_ours(data: LookData, tower: str, n_steps: int) -> dict[str, float]:
    """Per step of the second of two epochs of `n_steps`: the first pays for compilation."""
    rows = np.arange(n_steps * BATCH_SIZE, dtype=np.int32) % len(data)
    # With negatives drawn for each pair, a triplet is three images, as in the book; in a batch it would be two.
    config = StlConfig(
        tower=tower, embedding_size=OUTPUT_SIZE, widths=FILTERS, batch_size=BATCH_SIZE, epochs=2, mining="given",
        negatives="uniform",
    )  # fmt: skip
    train = LooksTrain(data, rows, rows[:0])
    trainer = trainer_of(train, config, 0, colours_of(train, config))
    clocks: list[Clock] = []
    trainer.run(lambda *_: clocks.append(Clock()))
    timed = clocks[1].since(clocks[0], n_steps)
    return {**timed, "wait": sum(trainer.waits_s[n_steps : 2 * n_steps]) / n_steps / timed["step_s"]}


def run_one(contender: str, n_steps: int) -> dict[str, Any]:
    """What a child process measures."""
    data = random_looks()
    if tower := CONTENDERS[contender]:
        timed = time_ours(data, tower, n_steps)
    else:
        timed = book_stl.time_steps(data, FILTERS, OUTPUT_SIZE, BATCH_SIZE, n_steps)
    return {"contender": contender, **timed, "device": jax.devices()[0].device_kind}


def in_own_process(contender: str, n_steps: int) -> dict[str, Any]:
    """One turn of a contender."""
    command = [sys.executable, "-m", __spec__.name, "--one", contender, "--steps", str(n_steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{contender} failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def compared(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best turn of each contender, with images a second and how many times the book's that is."""
    rows = []
    for name in CONTENDERS:
        own = [turn for turn in turns if turn["contender"] == name]
        best = min(own, key=lambda turn: turn["step_s"])
        rows.append({**best, "cpu_s": min(turn["cpu_s"] for turn in own), "turns_s": [turn["step_s"] for turn in own]})
    book = next(row for row in rows if row["contender"] == "book")
    for row in rows:
        row["images_per_s"] = BATCH_SIZE * IMAGES_PER_TRIPLET / row["step_s"]
        row["times_book"], row["times_book_cpu"] = book["step_s"] / row["step_s"], book["cpu_s"] / row["cpu_s"]
    return rows


def main() -> None:
    """Measure in turns, write JSON, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--out", type=Path, default=None, help="JSON file")
    parser.add_argument("--one", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run_one(options.one, options.steps)))
        return
    rows = compared([in_own_process(name, options.steps) for _ in range(options.repeats) for name in CONTENDERS])
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(rows, indent=2) + "\n")
    print(f"{'':12}{'images/s':>10}{'x book':>9}{'ms/step':>9}{'cpu ms':>9}{'x book':>9}{'wait':>8}  device")
    for row in rows:
        wait = f"{row['wait']:8.2%}" if "wait" in row else f"{'':8}"
        print(f"{row['contender']:12}{row['images_per_s']:10.0f}{row['times_book']:9.2f}{row['step_s'] * 1e3:9.1f}"
              f"{row['cpu_s'] * 1e3:9.1f}{row['times_book_cpu']:9.2f}{wait}  {row['device']}")  # fmt: skip
    print(f"bar: ours at least {BAR} x book: {'met' if rows[0]['times_book'] >= BAR else 'missed'}")


if __name__ == "__main__":
    main()
