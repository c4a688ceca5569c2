"""The parts of the benchmarks on Fashion-MNIST and IKEA's looks; the measurements are the programs themselves."""

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys_pipeline.core.reports.looks.look_scorers import histogram_scorer, random_scorer
from recsys_pipeline_tests.benchmarks import fashion_mnist, ikea_looks
from recsys_pipeline_tests.look_fixtures import look_data


def test_idx_files_are_read_behind_their_headers(tmp_path: Path) -> None:
    images = np.arange(2 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(2, 28, 28)
    for name, header, content in (("images-idx3", 16, images.tobytes()), ("labels-idx1", 8, bytes([7, 3]))):
        (tmp_path / f"train-{name}-ubyte.gz").write_bytes(gzip.compress(b"\0" * header + content))
    found, labels = fashion_mnist.read_part(tmp_path, "train")
    np.testing.assert_array_equal(found, images)
    assert labels.tolist() == [7, 3]


def test_most_neighbours_win_and_of_equal_counts_the_nearer() -> None:
    known = np.array([[1.0, 0], [0.9, 0], [0.8, 0], [0.75, 0], [0.1, 0], [0, 1]], np.float32)
    asked = np.array([[1.0, 0]], np.float32)

    def winner(*labels: int) -> list[int]:
        return fashion_mnist.vote(known, np.array(labels, np.int32), asked).tolist()

    assert winner(3, 4, 4, 3, 5, 6) == [3]  # two each, similarities 1.75 and 1.7
    assert winner(4, 3, 3, 4, 5, 6) == [4]
    assert winner(1, 1, 4, 4, 4, 6) == [4]  # three against two nearer ones
    assert winner(1, 2, 3, 3, 6, 6) == [3]  # the sixth is no neighbour


def test_every_image_is_seen_once_and_its_class_is_its_positive() -> None:
    labels = np.arange(20, dtype=np.int32) % 10
    images = np.zeros((20, 28, 28), np.uint8) + np.arange(20, dtype=np.uint8)[:, None, None]
    config = replace(fashion_mnist.SETTINGS, batch_size=10, epochs=1)
    seen = list(fashion_mnist.Classes(images, labels, config.batch_size, seed=0).batches(0, 2))
    rows = np.concatenate([batch.scene[:, 0, 0, 0] for batch in seen])
    assert sorted(rows.tolist()) == list(range(20))
    positive = np.concatenate([batch.positive for batch in seen])
    np.testing.assert_array_equal(positive.argmax(axis=1), labels[rows])
    assert (positive.sum(axis=1) == 1).all()
    np.testing.assert_array_equal(seen[0].product[:, 0, 0, 0], np.arange(10) + 5)  # the mean of n and n + 10


def test_intervals_are_wilsons() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion", Statist. Med. 1998, table I: 81 of 263.
    low, high = fashion_mnist.wilson_interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


@pytest.fixture(scope="module")
def looks_fold() -> ikea_looks.Fold:
    return ikea_looks.test_fold(look_data(size=32), seed=1)


def test_development_never_sees_the_test_scenes_and_judges_every_other_once(looks_fold: ikea_looks.Fold) -> None:
    data, known = looks_fold.train.data, looks_fold.train.rows
    folds = list(ikea_looks.development_folds(data, seed=1))
    assert sorted(np.concatenate([fold.rows for fold in folds]).tolist()) == sorted(known.tolist())
    for fold in folds:
        assert not set(data.scene[fold.train.rows]) & set(data.scene[fold.rows])
        assert not np.isin(fold.train.rows, looks_fold.rows).any()


def test_splits_are_judged_together_scene_by_scene(looks_fold: ikea_looks.Fold) -> None:
    scorers = {"noise": random_scorer(looks_fold.train.data, 0), "colours": histogram_scorer(looks_fold.train.data)}
    figures = ikea_looks.judged(scorers, looks_fold)
    twice = ikea_looks.together([figures["colours"], figures["colours"]])
    once, both = ikea_looks.accuracy(figures["colours"]), ikea_looks.accuracy(twice)
    assert (both.value, both.n) == (pytest.approx(once.value), 2 * once.n)
    assert (both.low, both.high) == pytest.approx(
        (once.low, once.high)
    )  # a scene counts once, however often it is judged
    lead = ikea_looks.leads(figures["colours"], [figures["noise"]])
    assert len(lead) == 1
    assert lead[0].value == pytest.approx(once.value - ikea_looks.accuracy(figures["noise"]).value)


def test_the_mean_over_seeds_has_students_interval() -> None:
    mean, half = ikea_looks.mean_over_seeds([0.60, 0.62, 0.61, 0.63, 0.59])
    assert mean == pytest.approx(0.61)
    assert half == pytest.approx(2.776 * 0.015811 / 5**0.5, rel=1e-3)
