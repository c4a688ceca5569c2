"""What may be asked for: everything wrong is refused before a file is read."""

import argparse
from pathlib import Path

import pytest

from recsys_pipeline.adapters.splits.reading import PLAINLY, Reading
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.evaluate.arguments import add_evaluate
from recsys_pipeline.evaluate.request import CutFile, GivenSplit, Request, parse_request

GIVEN = ["--train", "a.tsv", "--test", "b.tsv"]


def asked(*options: str) -> Request:
    parser = argparse.ArgumentParser()
    add_evaluate(parser.add_subparsers())
    return parse_request(parser.parse_args(["evaluate", *options]))


def test_a_given_split_with_settings() -> None:
    request = asked(
        *GIVEN, "--models", "als,ease", "--k", "20,10", "--columns", "user,item,-",
        "--set", "als.reg=1e-2", "--set", "als.use_user_bias=true", "--set", "als.solver=optax", "--set", "ease.reg=7",
    )  # fmt: skip
    assert request.files == GivenSplit((Path("a.tsv"),), Path("b.tsv"), None)
    assert request.ks == (10, 20)
    assert request.reading.columns == ("user", "item", "-")
    als, ease = request.contenders
    assert (als.spec.name, als.config.reg, als.config.use_user_bias, als.config.solver) == ("als", 0.01, True, "optax")
    assert (ease.spec.name, ease.config.reg) == ("ease", 7.0)


def test_trains_are_collected_and_metrics_are_chosen() -> None:
    request = asked("--train", "jan.tsv", *GIVEN, "--models", "random", "--metrics", "recall,coverage")
    assert request.files == GivenSplit((Path("jan.tsv"), Path("a.tsv")), Path("b.tsv"), None)
    assert request.metrics == ("recall", "coverage")


def test_one_file_to_be_cut() -> None:
    request = asked("--data", "a.csv", "--protocol", "prequential", "--test-share", "0.2", "--models", "random")
    assert request.files == CutFile(Path("a.csv"), "prequential", 0.2, lines_are_in_order=False)
    assert request.ks == (10, 20)


def test_what_is_said_of_the_files() -> None:
    plain = asked(*GIVEN, "--models", "random").reading
    assert plain == PLAINLY, "everything is told from the content"
    said = asked(
        *GIVEN, "--models", "random", "--columns", "user=who, item=events[].aid", "--separator", "tab", "--encoding",
        "latin-1", "--no-quote", "--no-header", "--time-format", "%d.%m.%Y", "--time-zone", "Europe/Berlin",
    ).reading  # fmt: skip
    assert said == Reading(
        columns=("user=who", "item=events[].aid"), separator="\t", encoding="latin-1", quote=False, header=False,
        time_format="%d.%m.%Y", time_zone="Europe/Berlin",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([*GIVEN, "--models", "als", "--metrics", "ndgc"], "'ndgc' is none that is shown; there are ndcg, recall"),
        (["--models", "als"], "give --train and --test, or --data with --protocol"),
        (["--train", "a", "--models", "als"], "give --train and --test"),
        (["--data", "a", "--models", "als"], "--data needs --protocol"),
        ([*GIVEN, "--data", "a", "--models", "als"], "leave out --train"),
        ([*GIVEN, "--protocol", "prequential", "--models", "als"], "the split of --train and --test is given"),
        ([*GIVEN, "--test-share", "0.5", "--models", "als"], "the split of --train and --test is given"),
        ([*GIVEN, "--models", "svd"], "'svd' is no model of interactions; there are als, bayesian_mf, cooccurrence"),
        ([*GIVEN, "--models", "stl"], "'stl' is no model of interactions"),
        ([*GIVEN, "--models", "als,als"], "als stands there twice"),
        ([*GIVEN, "--models", "als", "--set", "als.reg"], "write model.field=value"),
        ([*GIVEN, "--models", "als", "--set", "reg=1"], "write model.field=value"),
        ([*GIVEN, "--models", "als", "--set", "ease.reg=1"], "ease is not among --models als"),
        ([*GIVEN, "--models", "als", "--set", "als.rag=1"], "als.rag"),
        ([*GIVEN, "--models", "als", "--set", "als.reg=-1"], "als.reg must be above"),
        ([*GIVEN, "--models", "als", "--set", "als.reg=much"], "als.reg must be of type float"),
        ([*GIVEN, "--models", "als", "--k", "10,ten"], "give whole numbers"),
        ([*GIVEN, "--models", "als", "--k", "0"], "give distinct list lengths"),
        ([*GIVEN, "--models", "als", "--k", "5,5"], "give distinct list lengths"),
        ([*GIVEN, "--models", "als", "--seed", "-1"], "--seed -1"),
        ([*GIVEN, "--models", "als", "--json", "no/such/folder/out.json"], "there is no folder"),
    ],
)
def test_what_is_wrong_is_named(options: list[str], reason: str) -> None:
    with pytest.raises(SettingError, match=reason):
        asked(*options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--data", "a.csv", "--protocol", "leave_last_out", "--tie-seeds", "0"], "at least one order"),
        (["--data", "a.csv", "--protocol", "leave_last_out", "--tie-seeds", "3", "--tie-order", "lines"], "leave out"),
        ([*GIVEN, "--tie-seeds", "3"], "only cuts of --data"),
        (["--data", "a.csv", "--protocol", "day_by_day", "--tie-seeds", "3"], "only cuts of --data"),
    ],
)
def test_orders_of_ties_that_cannot_be_tried_are_refused(options: list[str], reason: str) -> None:
    with pytest.raises(SettingError, match=reason):
        asked(*options, "--models", "popularity")
