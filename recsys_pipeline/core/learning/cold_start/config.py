"""Settings of the cold-start mappers."""

from dataclasses import dataclass

import numpy as np

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.learning.cold_start.network import NetworkSettings

REGS = tuple(float(f"{reg:.1e}") for reg in np.geomspace(1e-5, 1.0, 16))


@dataclass(frozen=True)
class ColdStartConfig:
    """How item features are mapped to the vectors of a factorisation.

    Defaults were chosen on the simulator (`demo`, seed 0, 20 days): a seventh of the items held out of the
    factorisation as if they were new, three draws. Among these, categories beside photos lowered the AUC of ridge
    regression (.741, .730 and .718 without, .730, .713 and .701 with); `weight_power` 0, .5 and 1 gave .735, .730 and
    .721 among them and a recall@100 of .14, .30 and .43 in the full catalogue (one draw, with categories).
    """

    use_categories: bool = setting(
        False, "Categories are inputs too, beside the embedding of the photo; without photos they always are."
    )
    weight_power: float = setting(
        0.5, "An item weighs as its interactions to this power; 0: all the same.", ge=0.0, le=1.0
    )
    regs: tuple[float, ...] = setting(REGS, "Ridge penalties to choose from, by the leave-one-out error.")
    hidden_size: int = setting(64, "Units of the network's hidden layer.", ge=1, le=4096)
    learning_rate: float = setting(0.01, "Step size of AdamW.", gt=0.0)
    weight_decay: float = setting(0.01, "Weight decay of AdamW.", ge=0.0)
    batch_size: int = setting(256, "Items per step.", ge=1)
    epochs: int = setting(200, "Most passes over the items.", ge=1)
    patience: int = setting(15, "Passes without a better held-out error after which training stops.", ge=1)
    stop_share: float = setting(0.15, "Share of the items that the network is stopped on.", gt=0.0, lt=1.0)
    n_folds: int = setting(4, "Parts of the items that are held out in turn to choose between mappers.", ge=2)

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.regs or min(self.regs) <= 0:
            raise SettingError(f"ColdStartConfig.regs are {self.regs}: give one or more penalties above 0")

    def network(self) -> NetworkSettings:
        """What the network's training takes."""
        names = NetworkSettings.__dataclass_fields__
        return NetworkSettings(**{name: getattr(self, name) for name in names})
