"""Whether a release that the gate let through is served by itself: the deployment's is, an experiment is not."""

from collections.abc import Sequence
from typing import Literal

import dagster as dg
from pydantic import Field

from recsys_pipeline.adapters.serving.releases import Move, Standing, history, points_to, promote_if_newer, released
from recsys_pipeline.adapters.settings_file import DEFAULT as SETTINGS_FILE
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.serving.gate import Decision
from recsys_pipeline.defs.deployed_settings import given_in_run
from recsys_pipeline.defs.experiments import Departure, departures, was_experiment
from recsys_pipeline.defs.freshness import CHAMPION

PROMOTE_TAG = "recsys/promote"
"""Tag of a run that says what its form does not."""
AUTO, NEVER, AS_USUAL = "auto", "never", ""
SHOWN = 4
"""Settings that are named in a sentence; the table has them all."""
Promote = Literal["", "auto", "never"]


class PromotionConfig(dg.Config):
    """Whether a run's release is served by itself."""

    promote: Promote = Field(
        AS_USUAL,
        description="auto: serve what passes the gate, an experiment too. never: leave it to `recsys release promote`. "
        "Empty: auto where the settings are the deployment's, never for an experiment, that is for other settings.",
    )


def wish_of(context: dg.AssetExecutionContext, config: PromotionConfig) -> str:
    """What a run says of promotion: its own form, else its tag, else the deployment's; raises `SettingError`."""
    tag = context.run.tags.get(PROMOTE_TAG, AS_USUAL)
    if tag not in (AUTO, NEVER, AS_USUAL):
        raise SettingError(f"tag {PROMOTE_TAG} is {tag!r}: write {AUTO} or {NEVER}")
    return config.promote if "promote" in given_in_run(context) else tag or config.promote


def promoted(store: ArtifactStore, release: Artifact, decided: Artifact, wish: str) -> tuple[str, Sequence[Departure]]:
    """Serve a release, or do not; what became of it in words, and the settings that make it an experiment."""
    made, differing = Decision.load(decided.path), departures(store, decided.manifest)
    current = Standing.of(history(store)).current
    day = release.manifest.recipe.partition
    held = why_held(day, differing, wish) or (_chosen_instead(store, current, day) if not differing else "")
    if held and made.promoted and not points_to(current, release):
        return held, differing
    return promote_if_newer(store, release, made, in_words(differing)), differing


def why_held(day: str, differing: Sequence[Departure], wish: str) -> str:
    """Why a release that passed is not served by itself, and how it is; empty where it is."""
    if wish == AUTO or (wish == AS_USUAL and not differing):
        return ""
    by_hand = f"`recsys release promote {day}` serves it"
    if not differing:
        return f"passed, and is not promoted, since `promote` is {NEVER}; {by_hand}"
    return (
        f"passed, and is not promoted: {in_words(differing)}. `recsys compare {day}` sets it beside the day's own. "
        f"{by_hand}, and so does a run with {CHAMPION}.promote={AUTO}; {SETTINGS_FILE} makes its settings last"
    )


def _chosen_instead(store: ArtifactStore, current: Move | None, day: str) -> str:
    """That an experiment of the same day is served, which somebody asked for; empty where none is."""
    was_chosen = current is not None and current.day == day and (current.by_hand or bool(current.why))
    if current is None or not was_chosen or not was_experiment(store, released(store, current)):
        return ""
    return (
        f"passed, and is not promoted: an experiment of {day} is served, because somebody asked for it. "
        f"`recsys release promote {day}` serves this one"
    )


def in_words(differing: Sequence[Departure]) -> str:
    """What makes a release an experiment; empty where nothing does."""
    told = [one.told() for one in differing[:SHOWN]]
    more = f"; and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
    return f"an experiment: {'; '.join(told)}{more}" if differing else ""


def departures_table(differing: Sequence[Departure]) -> dg.TableMetadataValue:
    """The same as the UI shows it."""
    rows = [
        {"setting": one.name, "here": str(one.made.value), "from": one.made.origin,
         "deployment": str(one.deployed.value), "its origin": one.deployed.origin}
        for one in differing
    ]  # fmt: skip
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows])
