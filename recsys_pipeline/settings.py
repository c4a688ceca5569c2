"""Typed settings, read once from `RECSYS_*` environment variables or `.env`; `.env.example` documents each."""

from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from recsys_pipeline.core.errors import SettingError


class Settings(BaseSettings):
    """What differs between deployments; everything else is config of the asset that it concerns."""

    model_config = SettingsConfigDict(env_prefix="RECSYS_", env_file=".env", extra="ignore")

    home: Path = Field(Path("data"), description="Runtime root: store, checkpoints, W&B files, downloads.")
    store: str | None = Field(None, description="fsspec URL of the artifact store; default <home>/store.")
    source: str = Field("simulator", description="simulator, files, sql, or download:<preset>.")
    source_config: Path | None = Field(None, description="The TOML that describes a `files` or `sql` source.")
    settings_file: Path | None = Field(
        None, description="YAML of Launchpad fields that last; default conf/settings.yaml, where there is one."
    )
    size: Literal["tiny", "demo", "large"] = Field("demo", description="Size of the simulated marketplace.")
    hourly_days: int = Field(60, ge=0, description="Newest days that have hourly partitions; 0 for all days.")
    unsent_days: int = Field(90, ge=1, description="Days after which `recsys gc` lets go of what W&B was never sent.")
    overlay_hours: int = Field(168, ge=1, description="Hours after the champion's day that an overlay may hold.")
    drift_cooldown_days: int = Field(7, ge=0, description="Days after any sweep in which drift asks for none.")
    alert_webhook: SecretStr | None = Field(None, description="Where alerts of failed runs are posted as JSON.")
    reports_at: str = Field(
        "127.0.0.1:3001", pattern=r"^[^:/\s]+:\d{1,5}$", description="Where `make ui` serves reports: host:port."
    )
    start_date: date | None = Field(None, description="First day of the simulated marketplace, and first partition.")

    @property
    def store_url(self) -> str:
        """Where artifacts live; one folder per source below it."""
        return self.store or str(self.home / "store")

    @property
    def reports_address(self) -> tuple[str, int]:
        """Host and port of `reports_at`."""
        host, _, port = self.reports_at.partition(":")
        return host, int(port)


@cache
def settings() -> Settings:
    """The settings of this process; a bad value names its variable."""
    try:
        return Settings()  # pyright: ignore[reportCallIssue] (every field has a default)
    except ValidationError as error:
        problems = "; ".join(f"RECSYS_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise SettingError(f"{problems}. Mend it in the environment or in .env (see .env.example)") from error
