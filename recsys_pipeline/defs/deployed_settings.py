"""What the deployment sets: the code's defaults and, over them, the file of settings that last; a form per asset.

The file's values are the defaults of the forms, so that schedules, sensors, backfills, the Launchpad and the command
line take them with no further code; what a run gives itself goes over them.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import create_model

from recsys_pipeline.adapters.settings_file import SettingsFile, read_settings_file
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.defs.overrides import no_such, take_fields
from recsys_pipeline.settings import settings

DEFAULT, FORM = "default", "this run's form"
"""Where a value is from, besides the file, which goes by its name, and a sweep."""


@dataclass(frozen=True)
class Deployed:
    """The form of an asset with the deployment's values as its defaults."""

    form: type[dg.Config]
    origins: Mapping[str, str]
    """Where each field's default is from."""
    problems: tuple[str, ...] = ()
    """What is wrong with the file's values; then none of them is taken."""

    @property
    def values(self) -> dict[str, Any]:
        """What a run takes that says nothing."""
        return {name: field.get_default(call_default_factory=True) for name, field in self.form.model_fields.items()}


FORMS: dict[str, Deployed] = {}
"""By asset, filled as the modules of assets are loaded: with what the file said then."""


def settings_file() -> SettingsFile:
    """The file that `RECSYS_SETTINGS_FILE` names, as it was when it was first read."""
    return read_settings_file(settings().settings_file)


def deployed_form(key: str, form: type[dg.Config]) -> type[dg.Config]:
    """An asset's form with the file's values as defaults; what is wrong with them is kept for `check_settings`."""
    FORMS[key] = with_defaults(key, form, settings_file())
    return FORMS[key].form


def with_defaults(key: str, form: type[dg.Config], file: SettingsFile) -> Deployed:
    """The form of an asset as a file of settings makes it."""
    given = file.fields.get(key, {})
    known = {name: one for name, one in given.items() if name in form.model_fields}
    problems = [
        f"{file.place(one.line)}: {no_such(key, f'field {name!r}', name, form.model_fields)}"
        for name, one in given.items()
        if name not in known
    ]
    taken, wrong = take_fields(form, key, {name: one.value for name, one in known.items()}) if known else ({}, {})
    for name, said in wrong.items():
        problems.append(f"{file.place(known[name].line if name in known else file.lines[key])}: {said}")
    if problems:
        return Deployed(form, dict.fromkeys(form.model_fields, DEFAULT), tuple(problems))
    origins = {name: str(file.path) if name in taken else DEFAULT for name in form.model_fields}
    return Deployed(_with_values(form, taken, str(file.path)), origins)


def _with_values(form: type[dg.Config], values: Mapping[str, Any], file: str) -> type[dg.Config]:
    """The form with other defaults, of which the Launchpad's help says whence they are."""
    fields: dict[str, Any] = {}
    for name, value in values.items():
        info = copy(form.model_fields[name])
        info.default, info.description = value, f"{info.description} (The default is from {file}.)"
        fields[name] = (info.annotation, info)
    return create_model(form.__name__, __base__=form, __doc__=form.__doc__, **fields) if fields else form


def mistakes(file: SettingsFile) -> list[str]:
    """All that is wrong with a file, once the modules of all assets are loaded."""
    found = list(file.problems)
    for key in file.fields:
        if key in FORMS:
            found += with_defaults(key, FORMS[key].form, file).problems
        else:
            said = no_such("the code", f"asset {key!r} with fields", key, sorted(FORMS))
            found.append(f"{file.place(file.lines[key])}: {said}")
    return found


def check_settings() -> None:
    """Raise `SettingError` with all that is wrong with the file."""
    if found := mistakes(settings_file()):
        raise SettingError(
            "; ".join(found) + ". Mend the file and load the code location again; `recsys doctor` checks it"
        )


def given_in_run(context: dg.AssetExecutionContext) -> Mapping[str, Any]:
    """The fields that a run's own form sets for the asset at hand, whatever their values."""
    op = context.asset_key.to_user_string().replace("/", "__")
    config: Any = context.run.run_config  # of any shape, to type checkers
    return config.get("ops", {}).get(op, {}).get("config", {})


def origins_in_run(context: dg.AssetExecutionContext, names: Mapping[str, Any]) -> dict[str, str]:
    """Where the values of these fields are from; fields that the asset's form does not have are left out."""
    deployed, given = FORMS.get(context.asset_key.to_user_string()), given_in_run(context)
    known = deployed.origins if deployed else {}
    return {name: FORM if name in given else known[name] for name in names if name in known}
