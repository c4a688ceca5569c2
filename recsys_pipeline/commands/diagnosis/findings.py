"""What `recsys doctor` says of one thing."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `remedy` is empty where all is well."""

    subject: str
    state: Literal["ok", "warning", "wrong"]
    what: str
    remedy: str = ""
