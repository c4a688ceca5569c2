"""The settings of factor models that learn from sampled pairs: one frozen config for the trainer and for the form."""

from dataclasses import dataclass
from typing import Literal

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.errors import SettingError


@dataclass(frozen=True)
class SampledMfConfig:
    """Which loss, which negatives, which update rule.

    The learning rate does not depend on the size of a batch: a step takes the sum over its examples, not their mean.
    """

    loss: Literal["logistic", "squared", "bpr", "warp", "softmax"] = setting(
        "logistic", "What a chosen item and its negatives cost; see core/learning/sampled/losses.py."
    )
    embedding_size: int = setting(64, "Number of factors per user and item.", ge=1, le=1024)
    epochs: int = setting(40, "Passes over the training data, with new negatives in each.", ge=0)
    learning_rate: float = setting(0.02, "Size of a step; the highest one with schedule one_cycle.", gt=0.0)
    reg: float = setting(
        0.01, "λ: L2 penalty on user and item of each scored pair; with optimizer adamw the decay of weights.", ge=0.0
    )
    frequency_power: float = setting(
        1.0, "ρ: a row's penalty grows with (occurrences)^ρ; 1 is the same penalty on each occurrence.", ge=0.0, le=2.0
    )
    init_stdev: float = setting(0.1, "Standard deviation of the factors at the start.", gt=0.0)
    use_biases: bool = setting(True, "Learn a bias per user and per item.")
    n_negatives: int = setting(
        4, "Negatives drawn per positive (trials, with loss warp); 0 fits observed values alone.", ge=0, le=4096
    )
    negative_power: float = setting(
        0.0, "Negatives are drawn in proportion to (rows of the item)^power; 0 draws all items alike.", ge=0.0, le=2.0
    )
    exclude_positives: bool = setting(True, "Never draw an item that the user has as a negative.")
    in_batch: bool = setting(False, "Loss softmax: the batch's other items are the negatives, and none are drawn.")
    log_q_correction: bool = setting(True, "Loss softmax: take the logarithm of the chance to be drawn off the score.")
    temperature: float = setting(1.0, "Loss softmax: scores are divided by it.", gt=0.0)
    n_positives: int = setting(
        1, "Losses bpr, warp: of so many of the user's items, one is the positive of the step.", ge=1, le=64
    )
    order: int = setting(1, "k: the positive is the one with the k-th highest score of `n_positives`.", ge=1, le=64)
    user_vector: Literal["own", "mean"] = setting(
        "own", "A vector per user, or the mean of the vectors of the user's items (WSABIE)."
    )
    history_size: int = setting(
        50, "With user_vector mean: items of a user drawn for each step; scoring takes all.", ge=1, le=4096
    )
    target: Literal["one", "value"] = setting("one", "Loss squared: fit 1 for every observed pair, or its value.")
    head: Literal["linear", "sigmoid"] = setting(
        "linear", "Target value: the plain score, or a sigmoid between the least and the highest value."
    )
    head_margin: float = setting(0.5, "Head sigmoid: how far its range reaches beyond the values seen.", ge=0.0)
    optimizer: Literal["sgd", "adagrad", "adam", "adamw"] = setting(
        "sgd", "Update rule of the rows that a step touches."
    )
    schedule: Literal["constant", "one_cycle"] = setting(
        "constant", "Learning rate over all steps: the same, or up for 30% of them and down to nothing by a cosine."
    )
    batch_size: int = setting(
        1, "Examples per step. With 1, sgd and adagrad run in a compiled kernel on the CPU.", ge=1, le=1 << 20
    )
    fold_in_epochs: int = setting(20, "Passes over a new user's history, items fixed.", ge=0)

    def __post_init__(self) -> None:
        check_settings(self)
        for broken, message in self._contradictions():
            if broken:
                raise SettingError(f"SampledMfConfig.{message}")

    def _contradictions(self) -> list[tuple[bool, str]]:
        only_values = self.loss == "squared" and self.target == "value"
        needs_negatives = not self.in_batch and not only_values
        return [
            (self.in_batch and self.loss != "softmax", f"in_batch suits loss softmax, not {self.loss}"),
            (self.in_batch and self.batch_size < 2, "in_batch finds no negative in a batch of 1: raise batch_size"),
            (
                needs_negatives and self.n_negatives == 0,
                f"n_negatives is 0 with loss {self.loss} and target {self.target}: nothing would push a score down",
            ),
            (self.target == "value" and self.loss != "squared", f"target value suits loss squared, not {self.loss}"),
            (
                self.head == "sigmoid" and not self.predicts_values,
                "head sigmoid fits values: set loss squared, target value and n_negatives 0",
            ),
            (
                self.n_positives > 1 and self.loss not in ("bpr", "warp"),
                f"n_positives suits losses bpr and warp, not {self.loss}",
            ),
            (self.order > self.n_positives, f"order is {self.order} of n_positives {self.n_positives}: lower it"),
        ]

    @property
    def predicts_values(self) -> bool:
        """Whether scores are on the scale of the training values."""
        return self.loss == "squared" and self.target == "value" and self.n_negatives == 0

    @property
    def drawn_per_example(self) -> int:
        """Negatives that are drawn for each example."""
        return 0 if self.in_batch else self.n_negatives

    @property
    def suits_kernel(self) -> bool:
        """Whether the compiled one-example-at-a-time kernel can run it."""
        plain = self.user_vector == "own" and self.n_positives == 1 and not self.in_batch
        return plain and self.batch_size == 1 and self.optimizer in ("sgd", "adagrad")
