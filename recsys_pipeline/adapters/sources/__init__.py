"""Sources outside the core; `open_source` picks the one that the settings name."""

from pathlib import Path

from recsys_pipeline.core.dataset.simulator import SIZES, Simulator
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.settings import Settings


def open_source(deployment: Settings) -> Source:
    """The source named by `RECSYS_SOURCE`.

    Raises:
        SettingError: the name is unknown, or its `RECSYS_SOURCE_CONFIG` is missing.
    """
    kind, _, preset = deployment.source.partition(":")
    if kind == "simulator":
        return _simulator(deployment)
    if kind == "files":
        from recsys_pipeline.adapters.sources.files import FilesSource

        return FilesSource.from_toml(_toml(deployment))
    if kind == "download":
        from recsys_pipeline.adapters.sources.download import open_preset

        return open_preset(preset, deployment.home / "downloads")
    if kind == "sql":
        from recsys_pipeline.adapters.sources.sql import SqlSource

        return SqlSource.from_toml(_toml(deployment))
    raise SettingError(f"RECSYS_SOURCE is {deployment.source!r}: use simulator, files, sql or download:<preset>")


def _toml(deployment: Settings) -> Path:
    if deployment.source_config is None:
        kind = deployment.source
        raise SettingError(f"RECSYS_SOURCE={kind} needs RECSYS_SOURCE_CONFIG, the path of a TOML as in conf/sources")
    return deployment.source_config


def _simulator(deployment: Settings) -> Source:
    import dataclasses

    config = SIZES[deployment.size]
    if deployment.start_date:
        config = dataclasses.replace(config, start_date=deployment.start_date)
    return Simulator(config)
