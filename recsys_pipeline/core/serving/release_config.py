"""How a release is made, and which model of: those that can be, and why others cannot."""

from dataclasses import dataclass

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.models import ModelSpec, discover
from recsys_pipeline.core.recommenders import lacks_for_release


@dataclass(frozen=True)
class ReleaseConfig:
    """What a release is made of, and how lists are made of it."""

    model: str = setting("als", "What is released: a model with vectors that folds in users and items that are new.")
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
    if not (reason := _why_not(name, specs)):
        return specs[name]
    can = ", ".join(other for other in specs if not _why_not(other, specs))
    raise SettingError(
        f"ReleaseConfig.model: {name!r} cannot be released, since {reason}; {can} can. "
        "Judge others with reports/ranking or `recsys evaluate`"
    )


def _why_not(name: str, specs: dict[str, ModelSpec]) -> str:
    """Empty where it can."""
    if name not in specs:
        return f"there is no such model (there are {', '.join(specs)})"
    missing = [f"{method} ({what})" for method, what in lacks_for_release(specs[name].model).items()]
    return f"it has no {' and no '.join(missing)}" if missing else ""
