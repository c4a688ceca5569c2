"""What `recsys doctor` says of what is served."""

from collections.abc import Iterator

from recsys_pipeline.adapters.serving.releases import champion
from recsys_pipeline.adapters.sources import open_source
from recsys_pipeline.commands.diagnosis.findings import Finding
from recsys_pipeline.core.errors import ArtifactError, RecsysError
from recsys_pipeline.defs.resources import open_store
from recsys_pipeline.settings import Settings


def check_champion(deployment: Settings) -> Iterator[Finding]:
    """Whether the served release has all its files; other findings say that source or store cannot be opened."""
    try:
        store = open_store(deployment, open_source(deployment).name)
    except RecsysError:
        return
    try:
        served = champion(store)
    except ArtifactError as error:
        what, _, remedy = str(error).partition(": ")
        yield Finding("champion", "wrong", what, remedy)
        return
    if served is not None:
        what = f"{served.manifest.recipe.partition}, {served.manifest.digest[:12]}: {len(served.manifest.files)} files"
        yield Finding("champion", "ok", what)
