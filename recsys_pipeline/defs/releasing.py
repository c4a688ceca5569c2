"""Releases in the hands of people: `recsys release promote` and `rollback`, and the job `release_by_hand`."""

from datetime import date
from typing import Literal

import dagster as dg
from pydantic import Field

from recsys_pipeline.adapters.serving import releases
from recsys_pipeline.adapters.serving.releases import Move, Standing, history
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.wandb.tracker import Tracker
from recsys_pipeline.core.errors import RecsysError, SettingError
from recsys_pipeline.defs.refusals import refusals_once
from recsys_pipeline.defs.resources import StoreResource, TrackerResource

CHAMPION_ALIAS = "champion"
TELL = "tell"


class ByHandConfig(dg.Config):
    """What a person wants served."""

    action: Literal["tell", "promote", "rollback"] = Field(
        description="tell: say what is served, and move nothing. promote: serve a day's release. rollback: go back."
    )
    day: str = Field("", description="YYYY-MM-DD; empty, to go back: the newest promoted day before the one served.")
    why: str = Field("", description="A reason, which is kept in the history.")
    force: bool = Field(False, description="Promote what the gate rejected; takes a reason.")


def move_champion(
    context: dg.OpExecutionContext, config: ByHandConfig, store: StoreResource, tracker: TrackerResource
) -> None:
    """Verifies the release before anything points to it; raises `SettingError` where no day is named to promote.

    Refusals, such as the gate's rejection, are told once: nobody is helped by a second try.
    """
    opened = store.open()
    if config.action == TELL:
        told_now = what_is_served(opened)
        context.log.info(told_now)
        context.add_output_metadata({"in words": told_now})
        return
    move = moved(opened, tracker.open(), config.action, config.day, config.why, config.force)
    if move is None:
        context.log.info(served_already(config.day))
        context.add_output_metadata({"served": config.day, "in words": served_already(config.day)})
        return
    context.log.info(told(move))
    context.add_output_metadata({"served": move.day, "why": move.why or "-", "forced": move.forced})


move_champion_op = dg.op(name="move_champion", description="Move the pointer to what is served, or tell what is.")(
    refusals_once(move_champion, lasting=(RecsysError,))
)


@dg.job(
    executor_def=dg.in_process_executor, description="Promote a release or go back to one, because a person says so."
)
def release_by_hand() -> None:
    """One op, whose form says what to do; it has no default, so that a careless click moves nothing."""
    move_champion_op()


def what_is_served(store: ArtifactStore) -> str:
    """What is served, and what a rollback would serve."""
    standing = Standing.of(history(store))
    if standing.current is None:
        return "nothing is served yet"
    back = standing.way_back(standing.current.day)
    then = f"a rollback would serve {back.day}" if back else "there is nothing to go back to"
    return f"{standing.current.day} is served ({standing.current.digest[:12]}, since {standing.current.at}); {then}"


def announce(store: ArtifactStore, tracker: Tracker, move: Move) -> None:
    """Let W&B know: a run that used the release, which takes the alias `champion` from the one before."""
    release = releases.released(store, move)
    facts = {"action": move.action, "why": move.why, "by_hand": move.by_hand, "forced": move.forced}
    with tracker.run(f"serving/champion {move.day}", "serving", facts, group=move.day, inputs=[release]) as run:
        run.alias(release, CHAMPION_ALIAS)


def told(move: Move) -> str:
    """A move in words."""
    words = {"promote": "promoted", "rollback": "rolled back to", "stand_in": "stands in for"}[move.action]
    notes = [note for note, holds in (("by hand", move.by_hand), ("against the gate", move.forced)) if holds]
    return (
        f"{words} {move.day}  {move.digest[:12]}"
        + "".join(f"  {note}" for note in notes)
        + (f"  ({move.why})" if move.why else "")
    )


def moved(store: ArtifactStore, tracker: Tracker, action: str, day: str, why: str, force: bool) -> Move | None:
    """Move the pointer and let W&B know; None where the day is served already."""
    if action == releases.ROLLBACK:
        move = releases.rollback(store, named_day(day) if day else None, why)
    elif day:
        move = releases.promote(store, named_day(day), why, force)
    else:
        raise SettingError("promote which day? Fill in `day` as YYYY-MM-DD; `recsys release list` shows them")
    if move is not None:
        announce(store, tracker, move)
    return move


def served_already(day: str) -> str:
    """Why no pointer moved."""
    return f"{day} is served already: nothing was moved"


def named_day(text: str) -> str:
    """A day that a person named; raises `SettingError` for what is none, and could name another folder of the store."""
    try:
        is_day = date.fromisoformat(text).isoformat() == text
    except ValueError:
        is_day = False
    if not is_day:
        raise SettingError(f"{text!r} is no day: write YYYY-MM-DD; `recsys release list` shows the days with a release")
    return text
