"""What the sections of a source's TOML have in common."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Column = Annotated[int, Field(ge=1)] | str
"""A header name, or a 1-based position where the file has no header."""


def _below_root(path: str) -> str:
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ValueError(f"{path!r} must be relative and below root: set root to a folder that holds the files")
    return path


PathBelowRoot = Annotated[str, AfterValidator(_below_root)]


class Strict(BaseModel):
    """A section whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True)
