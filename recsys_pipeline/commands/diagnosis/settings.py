"""What `recsys doctor` says of the file of settings that last."""

from collections.abc import Iterator

from recsys_pipeline.adapters.settings_file import read_settings_file
from recsys_pipeline.commands.diagnosis.findings import Finding
from recsys_pipeline.core.errors import RecsysError
from recsys_pipeline.defs.deployed_settings import mistakes
from recsys_pipeline.settings import Settings

SUBJECT, REMEDY = "settings file", "mend the line; conf/settings.yaml shows the shape, the Launchpad the fields"


def check_settings_file(deployment: Settings) -> Iterator[Finding]:
    """Whether each of its values is one that an asset's form takes; a finding per mistake."""
    try:
        file = read_settings_file(deployment.settings_file)
        if file.fields:
            from recsys_pipeline.defs.declarations import load_forms  # brings JAX along, which takes seconds

            load_forms()
    except RecsysError as error:
        yield Finding(SUBJECT, "wrong", str(error), REMEDY)
        return
    found = mistakes(file)
    yield from (Finding(SUBJECT, "wrong", problem, REMEDY) for problem in found)
    if file.left_out:
        what = f"{file.path}: {', '.join(file.left_out)} are of a run, and nothing reads them there"
        yield Finding(SUBJECT, "warning", what, "leave only `ops:`")
    if file.digest and not found:
        n = sum(map(len, file.fields.values()))
        yield Finding(SUBJECT, "ok", f"{file.path} sets {n} fields of {len(file.fields)} assets")
