"""The parts below the server: the GraphQL walker, paging, filters of runs, and the choice of a sweep's trials."""

import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline_tests.wandb_double.faults import ANY, Fault, Faults
from recsys_pipeline_tests.wandb_double.filters import matches, ordered
from recsys_pipeline_tests.wandb_double.graphql import Node, QueryError, connection, read_operation
from recsys_pipeline_tests.wandb_double.stopping import brackets, is_beaten
from recsys_pipeline_tests.wandb_double.trials import grid_size, trial

QUERY = """
query Q($name: String = "x", $deep: Boolean!) {
    first: thing(name: $name) { ...Part }
    thing(name: "y") { name ... on Thing { size @skip(if: $deep) } ... on Other { nothing } }
}
fragment Part on Thing { __typename name inner @include(if: $deep) { size } }
"""


def thing(name: str) -> Node:
    inner = Node("Thing", {"size": 2})
    return Node("Thing", {"name": name, "size": lambda: 1, "inner": inner})


@pytest.mark.parametrize("deep", [True, False])
def test_a_query_is_filled_with_its_fragments_aliases_defaults_and_directives(deep: bool) -> None:
    found = read_operation(QUERY, {"deep": deep}).execute(Node("Query", {"thing": thing}))
    first: dict[str, Any] = {"__typename": "Thing", "name": "x"}
    second: dict[str, Any] = {"name": "y"}
    if deep:
        assert found == {"first": {**first, "inner": {"size": 2}}, "thing": second}
    else:
        assert found == {"first": first, "thing": {**second, "size": 1}}


def test_selections_of_one_field_are_merged() -> None:
    query = 'query Q { thing(name: "x") { name } ...More } fragment More on Query { thing(name: "x") { size } }'
    found = read_operation(query, None).execute(Node("Query", {"thing": thing}))
    assert found == {"thing": {"name": "x", "size": 1}}


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(QueryError, match='"colour" on type "Thing"'):
        read_operation('query Q { thing(name: "x") { colour } }', {}).execute(Node("Query", {"thing": thing}))


@given(total=st.integers(0, 12), first=st.integers(1, 5))
def test_pages_laid_end_to_end_are_the_whole(total: int, first: int) -> None:
    nodes = [Node("Thing", {"number": number}) for number in range(total)]
    seen, after, more = [], None, True
    while more:
        page = connection(nodes, first=first, after=after)
        seen += [edge.fields["node"] for edge in page.fields["edges"]]
        info = page.fields["pageInfo"].fields
        after, more = info["endCursor"] or after, info["hasNextPage"]
    assert seen == nodes


def run_row(number: int, **columns: Any) -> dict[str, Any]:
    plain = {"name": f"r{number}", "state": "finished", "sweep": None, "created": f"2026-01-0{number}", "id": number}
    return {**plain, "tags": json.dumps(["a"]), "summary": "{}", "config": "{}", **columns}


RUNS = [
    run_row(1, summary='{"loss": 3}', config='{"reg": {"value": 0.1}}'),
    run_row(2, summary='{"loss": 1}', state="failed", tags='["a", "b"]'),
    run_row(3, sweep="s"),
]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, ["r1", "r2", "r3"]),
        ({"state": "failed"}, ["r2"]),
        ({"$and": [{"sweep": "s"}]}, ["r3"]),
        ({"$or": [{"state": "failed"}, {"sweep": {"$ne": None}}]}, ["r2", "r3"]),
        ({"tags": {"$in": ["b"]}}, ["r2"]),
        ({"tags": "a", "summary_metrics.loss": {"$gt": 0, "$lt": 3}}, ["r2"]),
        ({"config.reg": 0.1}, ["r1"]),
        ({"config.reg.value": {"$exists": False}}, ["r2", "r3"]),
        ({"name": {"$regex": "[13]$"}}, ["r1", "r3"]),
    ],
)
def test_a_filter_keeps_the_runs_that_it_means(wanted: dict[str, Any], names: list[str]) -> None:
    assert [run["name"] for run in RUNS if matches(run, wanted)] == names


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("+created_at", ["r1", "r2", "r3"]),
        ("-created_at", ["r3", "r2", "r1"]),
        ("+summary_metrics.loss", ["r2", "r1", "r3"]),
        ("-summary_metrics.loss", ["r1", "r2", "r3"]),
    ],
)
def test_runs_without_the_figure_come_last_in_either_order(order: str, names: list[str]) -> None:
    assert [run["name"] for run in ordered(RUNS, order)] == names


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(), min_size=1, max_size=3), min_size=1))
def test_a_grid_is_every_combination_once(values: dict[str, list[int]]) -> None:
    config = {"method": "grid", "parameters": {name: {"values": list(chosen)} for name, chosen in values.items()}}
    size = grid_size(config)
    assert size is not None
    handed = [trial(config, number, seed=1) for number in range(size + 1)]
    assert handed == [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())] + [None]


BOUNDED = {
    "uniform": {"min": -1.5, "max": 2.5},
    "int_uniform": {"min": 1, "max": 6},
    "q_uniform": {"min": 0.0, "max": 4.0, "q": 0.5},
    "log_uniform_values": {"min": 1e-5, "max": 1e-1},
    "q_log_uniform_values": {"min": 8, "max": 256, "q": 8},
    "inv_log_uniform_values": {"min": 1e-3, "max": 1.0},
}


@pytest.mark.parametrize("distribution", BOUNDED)
def test_draws_stay_within_their_bounds_and_are_repeatable(distribution: str) -> None:
    bounds = BOUNDED[distribution]
    config = {"method": "random", "parameters": {"x": {"distribution": distribution, **bounds}}}
    draws = [trial(config, number, seed=3) for number in range(200)]
    values = [draw["x"] for draw in draws if draw]
    assert draws == [trial(config, number, seed=3) for number in range(200)]
    assert all(bounds["min"] - 1e-12 <= value <= bounds["max"] + 1e-12 for value in values)
    if "q" in bounds:
        assert all(math.isclose(value / bounds["q"], round(value / bounds["q"])) for value in values)


def test_a_logarithmic_draw_spreads_over_magnitudes() -> None:
    parameter = {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e4}
    config = {"method": "random", "parameters": {"x": parameter}}
    draws = [trial(config, number, seed=0) for number in range(400)]
    below = sum(draw["x"] < 1 for draw in draws if draw)
    assert 150 < below < 250, "half of the magnitudes lie below 1; within five standard deviations of it"


def test_probabilities_and_nested_parameters_are_followed() -> None:
    inner = {"parameters": {"kind": {"values": ["a", "b"], "probabilities": [1.0, 0.0]}, "rate": {"value": 3}}}
    found = trial({"method": "random", "parameters": {"optimiser": inner}}, 0, seed=1)
    assert found == {"optimiser": {"kind": "a", "rate": 3}}


def test_an_unknown_distribution_is_refused() -> None:
    with pytest.raises(ValueError, match="'zipf' is none of uniform"):
        trial({"method": "random", "parameters": {"x": {"distribution": "zipf"}}}, 0, seed=1)


@pytest.mark.parametrize(
    ("rule", "first"),
    [
        ({"min_iter": 3}, [3, 9, 27, 81]),
        ({"min_iter": 2, "eta": 2}, [2, 4, 8, 16]),
        ({"max_iter": 27, "s": 2}, [3, 9]),
        ({"max_iter": 4, "s": 5, "eta": 2}, [1, 2]),
    ],
)
def test_brackets_grow_or_shrink_by_eta(rule: dict[str, int], first: list[int]) -> None:
    """The first two rules are those of W&B's documentation of `early_terminate`."""
    assert brackets(rule)[:4] == first


@pytest.mark.parametrize(
    ("own", "goal", "beaten"),
    [
        ([5.0], "minimize", False),  # not yet at the first bracket
        ([5.0, 5.0], "minimize", True),
        ([1.0, 9.0], "minimize", False),  # its best counts, not its last
        ([1.0, 1.0], "maximize", True),
        ([9.0, 9.0], "maximize", False),
    ],
)
def test_a_run_outside_the_best_part_is_beaten(own: list[float], goal: str, beaten: bool) -> None:
    rule = {"type": "hyperband", "min_iter": 2, "eta": 2}
    config = {"metric": {"name": "loss", "goal": goal}, "early_terminate": rule}
    assert is_beaten(own, [[2.0, 2.0], [4.0]], config) is beaten


def test_without_the_rule_or_without_rivals_nobody_is_beaten() -> None:
    metric = {"metric": {"name": "loss", "goal": "minimize"}}
    assert not is_beaten([9.0], [[1.0]], metric)
    assert not is_beaten([9.0], [], {**metric, "early_terminate": {"type": "hyperband", "min_iter": 1}})


def test_faults_strike_in_order_and_as_often_as_told() -> None:
    faults = Faults()
    faults.add(Fault("Viewer", status=503, skip=2, times=1))
    faults.add(Fault(ANY, status=502, times=1))
    faults.add(Fault("upload", status=500, times=None))
    hit = [faults.strike(operation) for operation in ("Viewer", "Viewer", "Viewer", "Viewer", "upload", "upload")]
    assert [fault and fault.status for fault in hit] == [502, None, 503, None, 500, 500]
    faults.heal()
    assert faults.strike("upload") is None
