"""Published figures, by the command that a user types; the settings were chosen by benchmarks/ncf_ml1m.py."""

import json
from pathlib import Path

import pytest

from recsys_pipeline.cli import main
from recsys_pipeline_tests.benchmarks.ncf_ml1m import PUBLISHED

pytestmark = pytest.mark.data

SETTINGS = ["ease.reg=1000", "cooccurrence.neighbors_of=candidate", "cooccurrence.n_neighbors=50",
            "cooccurrence.shrinkage=0"]  # fmt: skip
TOLERANCE = {"popularity": 0.001, "cooccurrence": 0.003, "ease": 0.003}


def test_movielens_1m_of_the_ncf_paper(test_data: Path, tmp_path: Path) -> None:
    folder = test_data / "ncf-ml1m"
    if not folder.is_dir():
        pytest.skip("ncf-ml1m is not in RECSYS_TEST_DATA")
    assert main([
        "evaluate", "--train", str(folder / "ml-1m.train.rating.no_ts.tsv.gz"),
        "--test", str(folder / "ml-1m.test.rating"), "--negatives", str(folder / "ml-1m.test.negative.gz"),
        "--models", "popularity,cooccurrence,ease", "--k", "10", "--json", str(tmp_path / "out.json"),
        *(part for setting in SETTINGS for part in ("--set", setting)),
    ]) == 0  # fmt: skip
    document = json.loads((tmp_path / "out.json").read_text())
    for row in document["models"]:
        figures = {figure["metric"]: figure["value"] for figure in row["figures"] if figure["k"] == 10}
        assert row["users"] == 6040
        for metric, expected in zip(("hit_rate", "ndcg"), PUBLISHED[row["model"]], strict=True):
            assert figures[metric] == pytest.approx(expected, abs=TOLERANCE[row["model"]]), (row["model"], metric)
