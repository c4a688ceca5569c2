"""Launchpad fields from the command line: `--set stage/subject.field=value`, all checked before anything starts."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import ValidationError

from recsys_pipeline.core.configs import BOUNDS, read_value, similar_names
from recsys_pipeline.core.errors import SettingError

FLAG = "--set"


def op_config(job: dg.JobDefinition, overrides: Sequence[str]) -> dict[str, Any]:
    """Run config of the job's ops; raises `SettingError` naming the field, its value and what it may be."""
    forms = forms_of(job)
    config: dict[str, Any] = {}
    for override in overrides:
        target, separator, text = override.partition("=")
        key, dot, field = target.rpartition(".")
        if not separator or not dot:
            raise SettingError(f"{FLAG} {override}: write stage/subject.field=value")
        if key not in forms:
            raise SettingError(f"{FLAG} {override}: {no_such(job.name, f'asset {key!r} with fields', key, forms)}")
        if field not in forms[key].model_fields:
            raise SettingError(f"{FLAG} {override}: {no_such(key, f'field {field!r}', field, forms[key].model_fields)}")
        fields = config.setdefault(key.replace("/", "__"), {"config": {}})["config"]
        fields[field] = read_value(text, f"{FLAG} {override}")
    for name, op in config.items():
        op["config"] = _checked(forms[_key(name)], _key(name), op["config"])
    return config


def forms_of(job: dg.JobDefinition) -> dict[str, type[dg.Config]]:
    """Of each asset of a job that has fields, by its key, the form."""
    found = {}
    for name, node in job.graph.node_dict.items():
        function: Any = getattr(node.definition, "compute_fn", None)  # of a type without a public name
        if hasattr(function, "has_config_arg") and function.has_config_arg():
            found[_key(name)] = function.get_config_arg().annotation
    return found


def _key(op: str) -> str:
    return op.replace("__", "/")


def _checked(form: type[dg.Config], key: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as the form takes them; raises `SettingError` with all that is wrong."""
    taken, problems = take_fields(form, key, fields)
    if problems:
        raise SettingError("; ".join(problems.values()))
    return taken


def take_fields(form: type[dg.Config], key: str, fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields as the form takes them, and what is wrong by field (by none where it is several together).

    As the models' own configs do, it takes 2e1 for 20, and "on" for no flag.
    """
    try:
        made = form(**fields)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        return {}, {str(problem["loc"][0]) if problem["loc"] else "": _told(key, problem) for problem in problems}
    except SettingError as error:  # what its config says of one field beyond its type, or of several together
        named = re.match(r"\w+\.(\w+)", str(error))
        return {}, {named[1] if named and named[1] in fields else "": f"{key}: {error}"}
    taken, problems = {}, {}
    for name, given in fields.items():
        value = getattr(made, name)
        if isinstance(given, str | bool) and type(value) in (int, float, bool) and type(value) is not type(given):
            problems[name] = f"{key}.{name} must be of type {type(value).__name__}, got {given!r}"
        taken[name] = value if type(value) in (int, float) else given
    return taken, problems


def _told(key: str, problem: Any) -> str:
    """A problem that pydantic found, in the words of our own settings."""
    name = ".".join([key, *map(str, problem["loc"])])
    for bound, (words, _) in BOUNDS.items():
        if bound in problem.get("ctx", {}):
            return f"{name} must be {words} {problem['ctx'][bound]}, got {problem['input']!r}"
    said = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{name} must be {said}, got {problem['input']!r}"


def no_such(where: str, what: str, name: str, known: Collection[str]) -> str:
    """That a name does not exist, and which are like it."""
    return f"{where} has no {what}; {similar_names(name, known)}"
