"""How a release is made, and which model of: those that can be, and why others cannot."""

from dataclasses import dataclass

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.models import ModelSpec, discover

RELEASED_MODELS = ("als",)
"""The release's new items (`models/cold_start`), its drift report and its vectors are those of this model."""
ASKED = {
    "fold_in": "vectors for users who came after the fit",
    "fold_in_items": "vectors for items that were first taken after the fit",
}
"""Methods that a release and the hours over it need of a model, and what for."""


@dataclass(frozen=True)
class ReleaseConfig:
    """What a release is made of, and how lists are made of it."""

    model: str = setting(
        "als", "What is released. Only als can be: others cannot fold in users and items that are new."
    )
    k: int = setting(10, "Places of a list.", ge=1)
    popularity_half_life_hours: float = setting(
        168.0, "Popularity counts an interaction half after so many hours: a week, over which habits repeat.", gt=0
    )

    def __post_init__(self) -> None:
        check_settings(self)
        released_model(self.model)


def released_model(name: str) -> ModelSpec:
    """The registered model of this name; raises `SettingError`, with the reason, where it cannot be released."""
    specs = discover()
    if name in RELEASED_MODELS:
        return specs[name]
    raise SettingError(
        f"ReleaseConfig.model: {name!r} cannot be released, since {_why_not(name, specs)}; "
        f"{', '.join(RELEASED_MODELS)} can. Judge others with reports/ranking or `recsys evaluate`"
    )


def _why_not(name: str, specs: dict[str, ModelSpec]) -> str:
    if name == "best":
        return "there is but one that can be, and nothing to choose among"
    if name not in specs:
        return f"there is no such model (there are {', '.join(specs)})"
    model = getattr(specs[name].load, "__self__", None)
    missing = [f"{method} ({what})" for method, what in ASKED.items() if not hasattr(model, method)]
    return f"it has no {' and no '.join(missing)}" if missing else "new items are mapped into the vectors of another"
