"""Which model the deployment releases: of its vectors are neighbours, new items, drift and the release itself.

It is a setting of the deployment, `serving/release.model`, that must be known where assets are declared, since they
read what that model made. A run whose form names another is an experiment, for which that model must be there.
"""

from functools import cache

from recsys_pipeline.adapters.store.code_graph import Node
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.models import ModelSpec
from recsys_pipeline.core.serving.release_config import ReleaseConfig, released_model
from recsys_pipeline.defs.deployed_settings import settings_file

RELEASE = "serving/release"


@cache
def released() -> ModelSpec:
    """The model of the deployment's settings.

    Assets must be declared before mistakes can be told by their lines, so a name that cannot be released is the default
    here and no error. It goes no further: building definitions raises what `check_settings` finds, and `recsys doctor`
    shows it, each with the file, the line, the reason and the models that can. A file that cannot be read raises.
    """
    given = settings_file().fields.get(RELEASE, {}).get("model")
    try:
        return released_model(str(given.value) if given else ReleaseConfig().model)
    except SettingError:
        return released_model(ReleaseConfig().model)


def released_key() -> str:
    """The key of its asset."""
    return f"models/{released().name}"


def released_code() -> Node:
    """What shapes artifacts that are made through it: its own file, and no other model's."""
    return released().fit.__module__, "SPEC"


def vectors_key() -> str:
    """The key of its vectors."""
    return f"neighbors/{released().name}_vectors"


def index_key() -> str:
    """The key of the index over them."""
    return f"neighbors/{released().name}_index"
