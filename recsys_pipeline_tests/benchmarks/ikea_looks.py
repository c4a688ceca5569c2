"""Shop the look on IKEA's room scenes: 205 scenes, 1,607 products, 2,636 pairs, no boxes; bar: accuracy above .60.

    RECSYS_TEST_DATA=<folder> python -m recsys_pipeline_tests.benchmarks.ikea_looks [--validate [name …]]

Same-category accuracy (chance is .5) of chance, popularity, colour histograms, an untrained CNN and trained towers, on
five random splits by scene (a fifth is test). Products are those that stand in some scene. Intervals and tests are over
scenes; a scene that is in the test of several splits is one unit.

`--validate` compares `CANDIDATES` by five-fold cross-validation over the scenes that are not in the test of the first
split, so that one test has had no part in the choice: its figure is the first of `seeds` in the JSON behind the table.
Takes 4 minutes on two busy cores. Expected: palette .644 ± .030, colour histogram .554 ± .025.
"""

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int32

from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.core.dataset.looks import LookData, write_looks
from recsys_pipeline.core.folds.negatives import draw_negatives
from recsys_pipeline.core.folds.triplets import LooksTrain, TripletConfig, split_looks
from recsys_pipeline.core.learning.looks.config import StlConfig
from recsys_pipeline.core.learning.looks.triplet_training import train_towers, untrained_towers
from recsys_pipeline.core.models.stl import StlModel
from recsys_pipeline.core.reports.accuracy.resampling import Difference, Estimate
from recsys_pipeline.core.reports.looks.look_report import PRIMARY, lead_over
from recsys_pipeline.core.reports.looks.look_scorers import TowerScorer, look_scorers
from recsys_pipeline.core.reports.looks.looks import PairFigures, Scorer, look_estimates, pair_figures

SOURCE = Path(__file__).parents[2] / "conf" / "sources" / "ikea-looks.toml"
NO_ITEMS = pa.table({"item_id": pa.array([], pa.string()), "image": pa.array([], pa.string())})
IMAGE_SIZE, N_SEEDS, N_FOLDS, BAR = 64, 5, 5, 0.60
SPLIT = TripletConfig(validation_share=0.0, test_share=0.2)
STUDENT_T = 2.776
"""97.5% quantile of Student's t with 4 degrees of freedom: five seeds."""

UNTRAINED = StlConfig(colour=1.0)
"""The untrained CNN: the default tower, in colour."""
PALETTE = replace(
    UNTRAINED, tower="palette", loss="softmax", temperature=1.0, epochs=6, batch_size=128, learning_rate=0.02,
    jitter=0.05, reg=0.0,
)  # fmt: skip
CANDIDATES = {
    "still": replace(PALETTE, learning_rate=1e-6, epochs=2),
    "palette": PALETTE,
    "palette_fast": replace(PALETTE, learning_rate=0.05),
    "style": replace(UNTRAINED, epochs=12),
}
CHOSEN = "palette"


@dataclass(frozen=True)
class Fold:
    """Rows to train on, rows to judge, and the fixed negatives of those."""

    train: LooksTrain
    rows: Int32[np.ndarray, " pairs"]
    negatives: Int32[np.ndarray, "pairs n_negatives"]


def read_looks(folder: Path) -> LookData:
    """The looks as the product reads them, decoded into `folder`."""
    source = FilesSource.from_toml(SOURCE)
    write_looks(source, source.looks(datetime.now(UTC)), NO_ITEMS, folder, IMAGE_SIZE)
    data = LookData.load(folder)
    # Splits go by id: the tower's constants were chosen on the scenes that file names give split 0 to train on.
    return replace(data, scene_ids=[f"{scene.split('/')[-1]}.jpg" for scene in data.scene_ids])


def test_fold(data: LookData, seed: int) -> Fold:
    """One random split: four fifths of the scenes to train on, a fifth to judge."""
    folds = split_looks(data, SPLIT, seed)
    return Fold(LooksTrain(data, folds.train, folds.validation), folds.test, folds.test_negatives)


def development_folds(data: LookData, seed: int = 0) -> Iterator[Fold]:
    """Five folds over the scenes outside the test of split `seed`, each in turn judged by a model of the others."""
    known = test_fold(data, seed).train.rows
    scenes = np.random.default_rng(seed).permutation(np.unique(data.scene[known]))
    for number, left_out in enumerate(np.array_split(scenes, N_FOLDS)):
        out = np.isin(data.scene[known], left_out)
        negatives = draw_negatives(data, known[out], SPLIT.n_negatives, np.random.default_rng([seed, number]))
        yield Fold(LooksTrain(data, known[~out], known[:0]), known[out], negatives)


def trained(fold: Fold, config: StlConfig, seed: int) -> TowerScorer:
    """Scores of towers that were trained on the fold."""
    return TowerScorer(StlModel(config, train_towers(fold.train, config, seed)), fold.train.data)


def panel(fold: Fold, config: StlConfig, seed: int) -> dict[str, Scorer]:
    """The trained towers and everything that they are compared with."""
    still = StlModel(UNTRAINED, untrained_towers(fold.train, UNTRAINED, seed))
    return look_scorers(trained(fold, config, seed), still, fold.train.rows, seed)


def judged(scorers: Mapping[str, Scorer], fold: Fold) -> dict[str, PairFigures]:
    """What each scorer makes of the fold's pairs."""
    data = fold.train.data
    return {name: pair_figures(name, scorer, data, fold.rows, fold.negatives) for name, scorer in scorers.items()}


def together(parts: Sequence[PairFigures]) -> PairFigures:
    """Pairs of several splits as one; the hubness of lists from several models is not defined."""
    values, scenes = (np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "scenes"))
    return replace(parts[0], values=values, scenes=scenes, hubness=math.nan)


def accuracy(figures: PairFigures) -> Estimate:
    """Same-category accuracy with its interval over scenes."""
    column = figures.columns.index(PRIMARY)
    one = replace(figures, columns=(PRIMARY,), values=figures.values[:, [column]], hubness=0.0)
    return look_estimates(one, seed=0)[0]


def leads(own: PairFigures, others: Sequence[PairFigures]) -> list[Difference]:
    """Differences in same-category accuracy to all others, p-values adjusted (Holm)."""
    return [row for row in lead_over(own, others, seed=0) if (row.metric, row.k) == PRIMARY]


def mean_over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half the width of its 95% interval by Student's t for five values."""
    return float(np.mean(values)), STUDENT_T * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def validate(data: LookData, names: Sequence[str]) -> None:
    """Print every candidate's accuracy, each scene judged once."""
    folds = list(development_folds(data))
    for name in names:
        begin = time.perf_counter()
        parts = [judged({name: trained(fold, CANDIDATES[name], seed)}, fold)[name] for seed, fold in enumerate(folds)]
        found, each = accuracy(together(parts)), [accuracy(part).value for part in parts]
        figures = {"candidate": name, "accuracy": found.value, "low": found.low, "high": found.high, "folds": each}
        print(json.dumps({**figures, "seconds": time.perf_counter() - begin}), flush=True)


def report(data: LookData, config: StlConfig) -> None:
    """Print the table and the JSON of the test sets."""
    begin = time.perf_counter()
    each = []
    for seed in range(N_SEEDS):
        fold = test_fold(data, seed)
        each.append(judged(panel(fold, config, seed), fold))
    rows = {name: together([figures[name] for figures in each]) for name in each[0]}
    compared = {row.baseline: row for row in leads(rows["stl"], [row for name, row in rows.items() if name != "stl"])}
    table = []
    for name, figures in rows.items():
        seeds, found, lead = [accuracy(part[name]).value for part in each], accuracy(figures), compared.get(name)
        mean, half = mean_over_seeds(seeds)
        table.append(
            {
                "scorer": name, "mean": mean, "half_width": half, "seeds": seeds,
                "pooled": found.value, "low": found.low, "high": found.high,
                "lead": lead and {"value": lead.value, "low": lead.low, "high": lead.high, "p": lead.p_value},
            }
        )  # fmt: skip
        ahead = (
            f"stl ahead by {lead.value:.3f} [{lead.low:.3f}, {lead.high:.3f}], p = {lead.p_value:.4f}" if lead else ""
        )
        print(
            f"{name:17s} {mean:.3f} ± {half:.3f}  pooled {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]  {ahead}"
        )
    print(json.dumps({"bar": BAR, "scorers": table, "seconds": time.perf_counter() - begin}))


def main() -> None:
    """Choose, or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validate", nargs="*", metavar="name", help="compare candidates; never looks at the test")
    options = parser.parse_args()
    os.environ["RECSYS_DATA_DIR"] = os.environ["RECSYS_TEST_DATA"]
    with tempfile.TemporaryDirectory() as folder:
        data = read_looks(Path(folder))
        if options.validate is None:
            report(data, CANDIDATES[CHOSEN])
        else:
            validate(data, options.validate or list(CANDIDATES))


if __name__ == "__main__":
    main()
