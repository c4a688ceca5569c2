"""What was made without an account and never sent to W&B is let go after some time, and said to be."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsys_pipeline.adapters.wandb.outbox import FINISHED, RUN, Outbox, RunFacts, Stored
from recsys_pipeline.commands.gc import never_sent, unsent

NOW = datetime(2026, 6, 30, tzinfo=UTC)
ALS = "models/als"


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """A run that ended 100 days ago, one of yesterday, and one of 100 days ago that goes on."""
    found = Outbox(tmp_path / "outbox")
    for name, days, ends in (("old", 100, True), ("new", 1, True), ("open", 100, False)):
        uses = (Stored("shop", ALS, name, "digest"),)
        entry = found.open(RunFacts(name, name, "models", "p", {}, inputs=uses))
        if ends:
            entry.close(FINISHED)
        path = (found.ready_folder if ends else found.open_folder) / name / RUN
        path.write_text(json.dumps(json.loads(path.read_text()) | {"opened_at": (NOW - timedelta(days)).isoformat()}))
    return found


def test_only_what_has_waited_too_long_is_let_go(outbox: Outbox) -> None:
    expired = never_sent(outbox, days=90, now=NOW)
    assert [entry.facts.id for entry in expired] == ["old"]
    kept = {ref.partition for ref in unsent(outbox, "shop", {"old"})}
    assert kept == {"new", "open"}, "a run that goes on is not forgotten"
    outbox.let_go(expired)
    assert [entry.facts.id for entry in outbox.ready()] == ["new"]
    assert [entry.facts.id for entry in outbox.running()] == ["open"]


def test_nothing_has_waited_too_long_within_the_limit(outbox: Outbox) -> None:
    assert never_sent(outbox, days=101, now=NOW) == []
