"""Whether any figure moves when users and items get other names and lines another order: MovieLens 100K, all models.

    RECSYS_TEST_DATA=<folder> python -m recsys_pipeline_tests.benchmarks.renaming [--renamings 20] [--out FILE]

Each renaming gives every user and item a random name and shuffles the lines; the files then go the way of
`recsys evaluate`. Printed is the largest difference of any metric of a model from the file as it is. Takes some
seconds per model, protocol and renaming.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from recsys_pipeline.adapters.splits.files import read_interactions
from recsys_pipeline.core.folds.protocols import PROTOCOLS, cut
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking

KS = (10, 20)
Figures = dict[tuple[str, str], np.ndarray]
"""By protocol and model: the mean of each metric at each list length, and RMSE."""


def renamed(source: Path, seed: int, out: Path) -> Path:
    """The file with random names and shuffled lines; seed 0 leaves it as it is."""
    rows = [line.split("\t") for line in source.read_text().splitlines()]
    if seed:
        draw = random.Random(seed)
        for column in (0, 1):
            names = sorted({row[column] for row in rows})
            other = draw.sample(range(10_000, 100_000), len(names))
            of = dict(zip(names, map(str, other), strict=True))
            for row in rows:
                row[column] = of[row[column]]
        draw.shuffle(rows)
    out.write_text("user\titem\trating\ttimestamp\n" + "\n".join("\t".join(row) for row in rows) + "\n")
    return out


def figures_of(path: Path, models: list[str], protocols: list[str], console: Console) -> Figures:
    found: Figures = {}
    file = read_interactions(path)
    for protocol in protocols:
        split, _ = cut(file.ratings, protocol, None, seed=0, knows_order=file.file.layout.knows_order)
        for name in models:
            spec = discover()[name]
            model = spec.fit(split.train, spec.config(), 0)
            if split.folds_in:
                model = model.for_users(split.known)
            result = evaluate_ranking(model, split.known, split.test, KS, name=name)
            means = [result.mean(metric, k) for metric, k in result.columns]
            found[protocol, name] = np.array([*means, result.rmse])
            console.print(f"{protocol} {name}: ndcg@10 {result.mean('ndcg', 10):.4f}", markup=False)
    return found


def _largest_difference(found: np.ndarray, first: np.ndarray) -> float:
    """Infinite where a figure is defined under one naming only."""
    if (np.isnan(found) != np.isnan(first)).any():
        return float("inf")
    return float(np.nanmax(np.abs(found - first)))


def main() -> None:
    known = [name for name, spec in discover().items() if spec.data == "interactions"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renamings", type=int, default=20)
    parser.add_argument("--models", default=",".join(known))
    parser.add_argument("--protocols", default=",".join(PROTOCOLS))
    parser.add_argument("--out", type=Path)
    parsed = parser.parse_args()
    console, progress = Console(), Console(stderr=True)
    models, protocols = parsed.models.split(","), parsed.protocols.split(",")
    source = Path(os.environ["RECSYS_TEST_DATA"]) / "ml-100k" / "u.data"
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # undefined figures of single users are none of this
        runs = []
        for seed in range(parsed.renamings + 1):
            progress.print(f"renaming {seed} of {parsed.renamings}")
            path = renamed(source, seed, Path(folder) / "data.tsv")
            runs.append(figures_of(path, models, protocols, progress))
    rows = []
    for key, first in runs[0].items():
        moved = max(_largest_difference(run[key], first) for run in runs)
        rows.append({"protocol": key[0], "model": key[1], "ndcg@10": float(first[0]), "largest_difference": moved})
    table = Table(title=f"Largest difference of any metric over {parsed.renamings} renamings", title_justify="left")
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(row["protocol"], row["model"], f"{row['ndcg@10']:.4f}", f"{row['largest_difference']:.1e}")
    console.print(table)
    document = json.dumps({"renamings": parsed.renamings, "rows": rows}, indent=1)
    print(document)
    if parsed.out:
        parsed.out.write_text(document + "\n")
    sys.exit(any(row["largest_difference"] > 1e-12 for row in rows))


if __name__ == "__main__":
    main()
