"""A first ingest of a history with bad days: red, or green and said in metadata, status and one alert."""

import json
from datetime import UTC, datetime, timedelta

from recsys_pipeline_tests.deployment import Deployment, failure
from recsys_pipeline_tests.misbehaving_sources import Planting, event

LAST = "2026-01-06"


class BadDays(Planting):
    """On three days so many rows lack a user that the days cannot be used."""

    extra = tuple(
        event(datetime(2026, 1, day, 12, tzinfo=UTC) + timedelta(seconds=second), user_id="")
        for day in (2, 3, 4)
        for second in range(400)
    )


def test_a_history_with_bad_days_is_red_or_said_everywhere(deployment: Deployment) -> None:
    bad = Deployment(deployment.home, deployment.environment, wrap=BadDays)
    words = "3 of 6 days up to 2026-01-06 are missing"
    message = failure(bad.materialize("dataset/interactions", day=LAST))
    assert words in message
    assert "more than max_missing_share = 0.1 of the history allows" in message
    lenient = {"max_missing_share": 0.9}
    result = bad.materialize("dataset/interactions", day=LAST, dataset__interactions=lenient)
    assert result.success
    (told,) = [
        one.step_materialization_data.materialization.metadata
        for one in result.all_events
        if one.is_step_materialization and one.step_materialization_data.materialization.partition == LAST
    ]
    assert str(told["missing history"].value).startswith(words)
    assert told["missing days"].value == 3
    status = bad.recsys("status")
    assert (status.code, words in status.text) == (1, True)
    assert "3 days of the history cannot be read" in status.text
    alerts = (deployment.home / "data" / "alerts" / "alerts.jsonl").read_text().splitlines()
    assert [json.loads(line)["title"] for line in alerts] == ["3 of 6 days of simulator-tiny are missing"], "told once"


def test_the_last_line_of_a_run_says_it(deployment: Deployment) -> None:
    from recsys_pipeline.commands.running.launch import run_job
    from recsys_pipeline.definitions import defs

    bad = Deployment(deployment.home, deployment.environment, wrap=BadDays)
    with bad.active():
        fields = ["dataset/interactions.max_missing_share=0.9"]
        outcome = run_job(defs, "batch_daily", LAST, fields, only="dataset/interactions")
    assert outcome.missing.startswith("3 of 6 days up to 2026-01-06 are missing (~")
