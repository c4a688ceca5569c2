"""How large the simulated marketplace is, how it behaves, and the three sizes that people ask for by name."""

from dataclasses import dataclass
from datetime import date

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.errors import SettingError


@dataclass(frozen=True)
class SimulatorConfig:
    """One marketplace; the same config and seed give the same bytes for ever.

    Utilities are log-odds of a click on an item that was looked at. Populations are stationary: as many users and
    items leave per day, on average, as arrive.
    """

    name: str = setting("demo", "Ends the source's name, and so names its storage.")
    start_date: date = setting(date(2026, 1, 1), "First day with interactions, UTC.")  # noqa: RUF009 - only declares a field
    n_users: int = setting(2_000, "Users present on the first day.", ge=20)
    n_items: int = setting(1_200, "Items on sale on the first day.", ge=100)
    n_scenes: int = setting(600, "Scenes published before the first day.", ge=1)
    users_per_day: int = setting(8, "Users who join each day; equally many leave.", ge=1)
    items_per_day: int = setting(12, "Items that arrive each day; equally many sell out.", ge=1)
    scenes_per_day: int = setting(3, "Scenes published each day.", ge=1)
    requests_per_day: int = setting(6_500, "Ranked lists shown on an average day.", ge=1)
    slate_size: int = setting(10, "Items in one ranked list.", ge=1, le=50)
    zipf_exponent: float = setting(0.8, "Popularity of the r-th most popular item falls as r^-exponent.", gt=0)
    taste_weight: float = setting(4.5, "Utility of a perfect match between a user's and an item's style vector.", ge=0)
    quality_weight: float = setting(0.35, "Utility of one unit of log popularity.", ge=0)
    click_bias: float = setting(-3.8, "Log-odds of a click at utility 0.")
    examination_decay: float = setting(0.7, "Position k (from 0) is looked at with probability (k+1)^-decay.", ge=0)
    drift_days: float = setting(240.0, "Days in which a user's taste swings to another one and back.", gt=0)
    popular_share: float = setting(0.3, "Share of shown items that the logging policy draws by popularity.", ge=0)
    explore_share: float = setting(0.25, "Share of shown items that the logging policy draws uniformly.", gt=0)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.popular_share + self.explore_share > 1:
            raise SettingError("simulator popular_share + explore_share exceed 1: nothing is left for personal items")


SIZES: dict[str, SimulatorConfig] = {
    "tiny": SimulatorConfig(
        name="tiny",
        n_users=100,
        n_items=120,
        n_scenes=40,
        users_per_day=1,
        items_per_day=2,
        scenes_per_day=1,
        requests_per_day=420,
    ),
    "demo": SimulatorConfig(),
    "large": SimulatorConfig(
        name="large",
        n_users=50_000,
        n_items=20_000,
        n_scenes=5_000,
        users_per_day=200,
        items_per_day=100,
        scenes_per_day=20,
        requests_per_day=32_000,
    ),
}
"""`tiny` for tests, `demo` for a laptop, `large` with more than 10 million events in 30 days."""
