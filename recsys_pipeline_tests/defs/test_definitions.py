"""The code location: groups, descriptions, owners, forms, jobs and schedules, as the UI will show them."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from recsys_pipeline.adapters.store.versions import STAGES
from recsys_pipeline.core.serving.gate_checks import CHECKS
from recsys_pipeline.definitions import defs
from recsys_pipeline_tests.deployment import failure

SPECS = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
ASSETS = {
    key.to_user_string(): asset
    for asset in defs.assets or ()
    if isinstance(asset, dg.AssetsDefinition)
    for key in asset.keys
}
CHECK_SPECS = [
    spec
    for made in (*ASSETS.values(), *(defs.asset_checks or ()))
    if isinstance(made, dg.AssetsDefinition)
    for spec in made.check_specs
]
BATCH_GROUPS = {"dataset", "folds", "models", "neighbors", "reports", "serving"}


def fields_of(key: str) -> dict[str, Any]:
    """The fields of an asset's Launchpad form."""
    schema: Any = ASSETS[key].op.config_schema.config_type
    return dict(getattr(schema, "fields", {}))


def run_request(schedule: str, moment: datetime) -> dg.RunRequest:
    found = defs.resolve_schedule_def(schedule)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance, scheduled_execution_time=moment, repository_def=defs.get_repository_def()
        )
        requests = found.evaluate_tick(context).run_requests
    assert requests is not None
    assert len(requests) == 1
    return requests[0]


def test_groups_are_stages() -> None:
    assert {spec.group_name for spec in SPECS.values()} == BATCH_GROUPS | {"learning", "speed"}
    assert set(STAGES) >= BATCH_GROUPS
    assert list(STAGES) == sorted(STAGES), "a file listing reads like the pipeline"


@pytest.mark.parametrize("key", sorted(SPECS))
def test_an_asset_explains_itself(key: str) -> None:
    spec = SPECS[key]
    assert (spec.description or "").startswith("One row is ")
    told = [spec.description, *(check.description for check in CHECK_SPECS if check.asset_key == spec.key)]
    assert not [text for text in told if "\n    " in (text or "")], "what is indented is shown as code"
    assert list(spec.owners) == ["team:recommendations"]
    assert 1 <= len(spec.kinds) <= 3
    assert spec.group_name == key.split("/")[0]
    hourly = spec.group_name == "speed"
    assert isinstance(spec.partitions_def, dg.HourlyPartitionsDefinition if hourly else dg.DailyPartitionsDefinition)
    assert spec.code_version


@pytest.mark.parametrize("key", sorted(SPECS))
def test_every_field_of_a_form_is_described_and_has_a_default(key: str) -> None:
    silent = [name for name, field in fields_of(key).items() if not field.description]
    assert silent == [], "fields without a description"
    assert [name for name, field in fields_of(key).items() if field.is_required] == []


def test_forms_are_found_where_people_look_for_them() -> None:
    assert {"embedding_size", "reg", "gravity", "seed", "use_sweep"} <= set(fields_of("models/als"))
    assert {"image_size", "max_quarantine_share", "max_defect_share"} == set(fields_of("dataset/looks"))
    search = {"file", "method", "n_trials", "max_minutes", "budget_epochs", "engine", "wandb_sweep", "baseline", "seed"}
    assert search | {"trials_at_once", "validation", "n_folds"} == set(fields_of("learning/als_sweep"))
    assert search == set(fields_of("learning/stl_sweep"))


@pytest.mark.parametrize("key", sorted(key for key in SPECS if fields_of(key)))
def test_unknown_keys_are_refused(key: str) -> None:
    job = defs.resolve_implicit_global_asset_job_def()
    config = {"ops": {key.replace("/", "__"): {"config": {"no_such_field": 1}}}}
    with pytest.raises(dg.DagsterInvalidConfigError, match="no_such_field"):
        dg.validate_run_config(job, config)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("dataset/interactions", {"max_quarantine_share": 1.5}),
        ("dataset/looks", {"image_size": 65}),
        ("folds/prequential", {"test_share": 0.0}),
        ("folds/triplets", {"n_negatives": 0}),
        ("learning/als_sweep", {"n_trials": 0}),
        ("models/als", {"reg": 0.0}),
        ("models/cold_start", {"hidden_size": 0}),
        ("models/stl", {"batch_size": 1}),
        ("neighbors/als_index", {"recall_target": 1.01}),
        ("reports/new_items", {"recent_days": 0}),
        ("reports/ranking", {"n_resamples": 0}),
        ("reports/off_policy", {"temperature": 0.0}),
        ("reports/parity", {"max_gap": -0.1}),
        ("models/als", {"max_gap_days": 0}),
        ("serving/release", {"k": 0}),
        ("serving/decision", {"max_user_share": 0.0}),
        ("speed/interactions", {"late_hours": -1}),
        ("speed/monitor", {"psi_limit": 0.0}),
        ("speed/overlay", {"false_positive_rate": 0.0}),
    ],
)
def test_values_out_of_bounds_end_the_run_before_anything_is_made(key: str, values: dict[str, Any]) -> None:
    """Dagster checks types in the Launchpad and bounds as the step starts."""
    job = defs.resolve_implicit_global_asset_job_def()
    config = {
        "ops": {key.replace("/", "__"): {"config": values}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    result = job.execute_in_process(
        config,
        asset_selection=[dg.AssetKey.from_user_string(key)],
        partition_key="2026-01-02-05:00" if key.startswith("speed/") else "2026-01-02",
        raise_on_error=False,
    )
    assert next(iter(values)) in failure(result)


def test_facts_that_protect_users_block() -> None:
    checks = {(spec.asset_key.to_user_string(), spec.name): spec.blocking for spec in CHECK_SPECS}
    assert checks == {
        ("dataset/interactions", "little_is_put_aside"): False,
        ("dataset/interactions", "newest_event_is_late_in_the_day"): False,
        ("dataset/interactions", "volume_is_usual"): False,
        ("dataset/items", "little_is_put_aside"): False,
        ("dataset/items", "volume_is_usual"): False,
        ("folds/prequential", "train_precedes_test"): True,
        ("neighbors/als_vectors", "vectors_are_finite"): True,
        ("neighbors/stl_vectors", "vectors_are_finite"): True,
        ("neighbors/als_index", "recall_meets_target"): True,
        ("neighbors/stl_index", "recall_meets_target"): True,
        ("reports/drift", "no_drift"): False,
        ("reports/parity", "continued_models_keep_up"): False,  # fails the run, and leaves the day its page
        **{("serving/decision", check.__name__): True for check in CHECKS},
        ("serving/champion", "is_fresh"): False,
        ("speed/overlay", "is_fresh"): False,
        ("speed/overlay", "vectors_are_finite"): True,
        ("speed/overlay", "nobody_counts_twice"): True,
        ("speed/overlay", "no_hour_is_missing"): False,
        ("speed/monitor", "hour_is_like_its_release"): False,
        ("speed/monitor", "no_user_makes_the_hour"): False,
    }


def test_jobs_hold_their_stages() -> None:
    batch = {key.to_user_string() for key in _selected("batch_daily")}
    sweep = {key.to_user_string() for key in _selected("sweep_weekly")}
    assert {key.split("/")[0] for key in batch} == BATCH_GROUPS
    on_request = {f"models/{name}" for name in ("bayesian_mf", "ease", "sampled_mf", "svdpp")}
    sweeps = {"learning/als_sweep", "learning/stl_sweep"}
    by_hand = {f"learning/{name}_sweep" for name in ("bayesian_mf", "cooccurrence", "ease", "sampled_mf", "svdpp")}
    hourly = {key.to_user_string() for key in _selected("speed_hourly")}
    assert hourly == {"speed/interactions", "speed/overlay", "speed/monitor"}
    assert batch == set(SPECS) - {*sweeps, *by_hand, *on_request, *hourly}
    of_interactions = {"dataset/interactions", "dataset/snapshot", "folds/prequential"}
    assert sweep == {*of_interactions, "dataset/items", "dataset/looks", "folds/triplets", *sweeps}
    assert {key.to_user_string() for key in _selected("sweep_by_hand")} == sweep | by_hand


def _selected(job: str) -> set[dg.AssetKey]:
    return set(defs.resolve_job_def(job).asset_layer.executable_asset_keys)


def test_the_batch_runs_every_night_for_the_day_before() -> None:
    schedule = defs.resolve_schedule_def("batch_daily")
    assert schedule.cron_schedule == "15 3 * * *"
    assert schedule.execution_timezone == "UTC"
    assert schedule.job_name == "batch_daily"
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    request = run_request("batch_daily", datetime(2026, 1, 13, 3, 15, tzinfo=UTC))
    assert request.partition_key == "2026-01-12"


def test_the_sweep_runs_on_sundays_for_the_last_complete_day() -> None:
    schedule = defs.resolve_schedule_def("sweep_weekly")
    assert schedule.cron_schedule == "30 4 * * 0"
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    sunday = datetime(2026, 1, 18, 4, 30, tzinfo=UTC)
    assert sunday.weekday() == 6
    assert run_request("sweep_weekly", sunday).partition_key == "2026-01-17"


def test_nothing_is_swept_before_a_day_is_complete() -> None:
    found = defs.resolve_schedule_def("sweep_weekly")
    with dg.DagsterInstance.ephemeral() as instance:
        early = datetime(2026, 1, 1, 4, 30, tzinfo=UTC)
        context = dg.build_schedule_context(
            instance, scheduled_execution_time=early, repository_def=defs.get_repository_def()
        )
        tick = found.evaluate_tick(context)
    assert not tick.run_requests
    assert tick.skip_message == "no day is complete yet"


def test_what_starts_runs_says_in_a_sentence_what_it_does_and_when() -> None:
    repository = defs.get_repository_def()
    told = {one.name: one.description or "" for one in (*repository.schedule_defs, *repository.sensor_defs)}
    when = ("Every ", "Sundays ", "Five past ", "Twenty past ", "Soon after ")
    assert {name: text for name, text in told.items() if not (text.startswith(when) and text.endswith("."))} == {}
