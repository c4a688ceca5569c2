"""The settings of shop the look: which networks, which loss over which negatives, how they are trained."""

from dataclasses import dataclass
from typing import Literal

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.learning.looks.objectives import DRAWN, MINING
from recsys_pipeline.core.learning.looks.towers import Architecture, discover_towers


@dataclass(frozen=True)
class StlConfig:
    """Shop the look: towers for scenes and products, trained so that what belongs together scores high."""

    embedding_size: int = setting(64, "Dimensions of the space that scenes and products share.", ge=1)
    tower: str = setting("style", "Network from images to vectors, a file of core/learning/looks/towers.")
    widths: tuple[int, ...] = setting((16, 32, 64, 128), "Channels of each block of the tower; each halves the image.")
    shared: bool = setting(False, "One tower for scenes and products, instead of one for each.")
    compatibility: Literal["global", "gated", "local"] = setting(
        "global",
        "What a score knows of the product's category: nothing, a gate per category, or also the regions of the scene "
        "that matter to it.",
    )
    loss: Literal["triplet", "batch_hard", "softmax"] = setting(
        "triplet", "Triplet hinge, batch-hard triplet hinge, or softmax over all candidates."
    )
    # On the simulator's validation scenes (demo, seed 0, 16 epochs): given .825, in_batch .900, softmax in_batch .902,
    # one shared tower .889, tower book .894; 32 epochs .922.
    mining: Literal["given", "hardest_of_n", "in_batch", "semi_hard"] = setting(
        "in_batch",
        "Which negatives: drawn for each pair (all, or the hardest of n), or the other products of the batch (all, or "
        "semi-hard ones).",
    )
    negatives: Literal["uniform", "same_category", "popularity"] = setting(
        "same_category",
        "Whence negatives are drawn; in a batch, same_category and popularity keep to the positive's category.",
    )
    n_negatives: int = setting(1, "Negatives drawn per pair, where they are drawn.", ge=1)
    epochs: int = setting(24, "Passes over the training pairs.", ge=1)
    # On the simulator's validation pairs after seven days (demo, seed 0): fitted in full .917 (107 s); continued by 2
    # epochs a day .922 (9.5 s), by 4 .927 (18.5 s), by 4 at the full rate .930; left as on the first day .913.
    warm_epochs: int = setting(2, "The same, where training goes on from the model of an earlier day.", ge=1)
    batch_size: int = setting(64, "Pairs per step.", ge=2)
    learning_rate: float = setting(0.002, "Adam's peak step size; it falls to zero along a cosine.", gt=0)
    warm_learning_rate: float = setting(
        0.0005, "Its peak where training goes on from the model of an earlier day.", gt=0
    )
    margin: float = setting(1.0, "By how much the right product should outscore a wrong one (triplets).", gt=0)
    temperature: float = setting(0.1, "Divides scores before the softmax: small looks at the hardest.", gt=0)
    reg: float = setting(0.1, "Weight of the soft unit norm: how much embeddings longer than 1 cost.", ge=0)
    # With some 1,700 pairs of the simulator, full colour was learned by heart (.61 on unseen scenes, .91 on train
    # scenes) and grey was not (.86 and .86).
    colour: float = setting(0.0, "How much colour the towers see: 0 shades of grey, 1 everything.", ge=0, le=1)
    jitter: float = setting(0.1, "Random change of hue, saturation and brightness while training.", ge=0, le=1)
    min_crop_share: float = setting(
        2.0,
        "A scene is cropped beside the product where at least this share of it is left, and the product is painted "
        "over elsewhere; above 1, everywhere.",
        ge=0,
    )
    precision: Literal["float32", "bfloat16"] = setting(
        "float32", "Type in which the towers compute; weights and statistics are float32 in any case."
    )
    n_devices: int = setting(1, "Devices that share each batch.", ge=1)
    backbone: str = setting("", "For tower backbone: the network's class, as package.module:Class.")
    backbone_weights: str = setting(
        "",
        "For tower backbone: its weights, a safetensors file. Write other weights to another file: artifacts are told "
        "apart by this name.",
    )
    finetune: bool = setting(False, "For tower backbone: train it too, instead of only what stands behind it.")

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.widths or min(self.widths) < 1:
            raise SettingError(f"StlConfig.widths must name at least one positive width, got {self.widths}")
        if self.tower not in discover_towers():
            raise SettingError(f"StlConfig.tower {self.tower!r} is none of {', '.join(discover_towers())}")
        self._check_mining()
        self._check_backbone()
        if self.batch_size % self.n_devices:
            raise SettingError(
                f"StlConfig.batch_size={self.batch_size} cannot be shared by n_devices={self.n_devices}: "
                "take a multiple of it"
            )

    def _check_mining(self) -> None:
        if reason := MINING[self.loss][self.mining]:
            raise SettingError(f"StlConfig.loss={self.loss!r} does not go with mining={self.mining!r}: {reason}")
        if self.mining == "hardest_of_n" and self.n_negatives < 2:
            raise SettingError("StlConfig.mining='hardest_of_n' needs n_negatives of 2 or more to choose from, got 1")
        if self.mining not in DRAWN and self.n_negatives > 1:
            raise SettingError(
                f"StlConfig.mining={self.mining!r} draws no negatives: leave n_negatives at 1, or take mining "
                f"{' or '.join(DRAWN)}"
            )

    def _check_backbone(self) -> None:
        wanted = self.tower == "backbone"
        for name in ("backbone", "backbone_weights"):
            if wanted and not getattr(self, name):
                raise SettingError(f"StlConfig.tower='backbone' needs {name}")
            if not wanted and getattr(self, name):
                raise SettingError(f"StlConfig.{name} is for tower='backbone', and tower is {self.tower!r}")
        if self.finetune and not wanted:
            raise SettingError(f"StlConfig.finetune is for tower='backbone', and tower is {self.tower!r}")

    def architecture(self, image_size: int, n_categories: int) -> Architecture:
        """What of these settings decides the networks' shapes, for data of this image size and so many categories."""
        return Architecture(
            tower=self.tower,
            widths=self.widths,
            embedding_size=self.embedding_size,
            image_size=image_size,
            shared=self.shared,
            compatibility=self.compatibility,
            n_categories=0 if self.compatibility == "global" else n_categories,
            precision=self.precision,
            backbone=self.backbone,
            finetune=self.finetune,
        )
