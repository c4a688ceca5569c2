"""The sweep assets, one per registered model that has settings: one row is a trial."""

import dagster as dg

from recsys_pipeline.defs.learning.build import sweep_result
from recsys_pipeline.defs.learning.tuned import TUNED, Tuned
from recsys_pipeline.defs.production import stage_asset
from recsys_pipeline.defs.resources import StoreResource, TrackerResource


def sweep_asset(tuned: Tuned) -> dg.AssetsDefinition:
    """The asset that tunes one registered model on the day's fold."""
    form = tuned.form

    def asset(context: dg.AssetExecutionContext, config: form, store: StoreResource, tracker: TrackerResource):  # pyright: ignore[reportInvalidTypeForm]
        return sweep_result(context, config, store, tracker, tuned)

    asset.__name__ = f"{tuned.model}_sweep"
    asset.__doc__ = (
        f"One row is a trial: settings of `{tuned.model}` and what they reached on validation rows.\n\n"
        "Trial 0 is what is in use. Trials learn from train rows only and never see test rows. `models/"
        f"{tuned.model}` takes the best of them where it is better beyond chance on {tuned.unit} that steered none. "
        "An interrupted sweep goes on from the trials that it had finished."
    )
    return stage_asset(
        tuned.key,
        needs=tuned.needs,
        kinds={"optuna", "jax", "wandb"},
        after=tuned.inputs,
        on_request=not tuned.spec.swept_weekly,
    )(asset)


SWEEP_ASSETS = [sweep_asset(tuned) for tuned in TUNED.values()]
