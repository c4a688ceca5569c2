"""Which history of runs, schedules and partitions belongs to the configured source: sources never share one.

The UI colours partitions, lists runs and switches sensors by asset and job, whatever source they ran over. So each
source has an instance of Dagster's of its own, and `dagster.yaml` of the checkout says how all of them behave.
"""

import os
from pathlib import Path
from typing import Any

import yaml

from recsys_pipeline.adapters.store.durable_files import replace_file
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.defs.resources import configured_source
from recsys_pipeline.settings import Settings, settings

HOME_DATA, STATE = Path("data"), Path("data/.dagster")
"""The default runtime root, and where `dagster.yaml` keeps the history of the default simulator below it."""
DEFAULT_SOURCE = "simulator-demo"
CONFIG = "dagster.yaml"


def use_history() -> Path:
    """Let Dagster keep its state in the configured source's history, unless the environment says where; give the place.

    Raises `SettingError` for a source that cannot be opened, and where no `dagster.yaml` says how Dagster is to behave.
    """
    if "DAGSTER_HOME" not in os.environ:
        os.environ["DAGSTER_HOME"] = str(_prepared(settings(), configured_source().name))
    return Path(os.environ["DAGSTER_HOME"])


def history_of(deployment: Settings, source_name: str) -> Path:
    """The folder with the `dagster.yaml` of a source; of the default simulator it is the checkout's own."""
    if source_name == DEFAULT_SOURCE and deployment.home.absolute() == HOME_DATA.absolute():
        return Path.cwd()
    return (deployment.home / ".dagster" / "sources" / source_name).absolute()


def state_of(home: Path) -> Path:
    """Where the state of a history lies: the checkout's own root stays clean."""
    return home / STATE if home == Path.cwd() else home


def _prepared(deployment: Settings, source_name: str) -> Path:
    """The source's folder, with the checkout's `dagster.yaml` of today in it."""
    home, own = history_of(deployment, source_name), Path.cwd() / CONFIG
    if not own.is_file():
        checkout = next((folder for folder in Path.cwd().parents if (folder / CONFIG).is_file()), None)
        where = f"cd {checkout}" if checkout else "start it in the checkout"
        raise SettingError(
            f"{own.parent} has no {CONFIG}, and Dagster would keep its state there, with telemetry on: {where}, or set "
            "DAGSTER_HOME to a folder with one"
        )
    if home == Path.cwd():
        return home
    text = yaml.safe_dump(_moved(_config(own), home), sort_keys=False)
    target = home / CONFIG
    if not target.is_file() or target.read_text(encoding="utf-8") != text:
        home.mkdir(parents=True, exist_ok=True)
        replace_file(target, text.encode())
    return home


def _config(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise SettingError(f"{path} is none that Dagster takes ({problem}): mend it") from error


def _moved(config: Any, home: Path) -> Any:
    """The same settings with every place below `data/.dagster` below `home` instead."""
    if isinstance(config, dict):
        return {name: _moved(value, home) for name, value in config.items()}
    if isinstance(config, list):
        return [_moved(value, home) for value in config]
    if isinstance(config, str) and (config == str(STATE) or config.startswith(f"{STATE}/")):
        return str(home / Path(config).relative_to(STATE))
    return config
