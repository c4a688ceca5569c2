"""The sweep assets, one per registered model that has settings: one row is a trial."""

from functools import partial

from recsys_pipeline.adapters.store.versions import node_of
from recsys_pipeline.defs.asset import Asset, asset
from recsys_pipeline.defs.learning.build import describe_sweep, run_sweep, sweep_settings
from recsys_pipeline.defs.learning.tuned import TUNED, Tuned
from recsys_pipeline.defs.reads import Read


def sweep_asset(tuned: Tuned) -> Asset:
    """The asset that tunes one registered model on the day's fold."""
    return asset(
        tuned.key,
        kinds={"optuna", "jax", "wandb"},
        reads=[Read(key) for key in tuned.inputs],
        form=tuned.form,
        settings=partial(sweep_settings, tuned),
        describe=partial(describe_sweep, tuned),
        on_request=not tuned.spec.swept_weekly,
        code=[(tuned.spec.fit.__module__, "SPEC"), node_of(tuned.trials.func), node_of(tuned.units.func)],
        doc=f"One row is a trial: settings of `{tuned.model}` and what they reached on validation rows.\n\n"
        "Trial 0 is what is in use. Trials learn from train rows only and never see test rows. `models/"
        f"{tuned.model}` takes the best of them where it is better beyond chance on {tuned.unit} that steered none. "
        "An interrupted sweep goes on from the trials that it had finished.",
    )(partial(run_sweep, tuned))


SWEEP_ASSETS = [sweep_asset(tuned) for tuned in TUNED.values()]
