"""The sweep assets: one row is a trial."""

import dagster as dg

from recsys_pipeline.defs.learning.build import sweep_result
from recsys_pipeline.defs.learning.forms import StlSweepConfig, SweepConfig
from recsys_pipeline.defs.learning.tuned import ALS, STL
from recsys_pipeline.defs.production import stage_asset
from recsys_pipeline.defs.resources import StoreResource, TrackerResource

KINDS = {"optuna", "jax", "wandb"}


@stage_asset(ALS.key, needs=ALS.needs, kinds=KINDS, after=ALS.inputs)
def als_sweep(
    context: dg.AssetExecutionContext, config: SweepConfig, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is a trial: a config of regularised matrix factorisation and what it reached on the validation rows.

    Trials learn from train rows only and never see test rows. The best config is what `models/als` takes. Trials of
    one embedding size are trained together, and stopped early where the file says so; an interrupted sweep goes on
    from the trials that it had finished.
    """
    return sweep_result(context, config, store, tracker, ALS)


@stage_asset(STL.key, needs=STL.needs, kinds=KINDS, after=STL.inputs)
def stl_sweep(
    context: dg.AssetExecutionContext, config: StlSweepConfig, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is a trial: a config of shop the look and what it reached on pairs of validation scenes.

    Trials learn from train scenes only and never see test scenes. The best config is what `models/stl` takes. Trials
    are stopped early where the file says so; an interrupted sweep goes on from the trials that it had finished.
    """
    return sweep_result(context, config, store, tracker, STL)
