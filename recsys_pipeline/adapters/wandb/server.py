"""What we ask a W&B server ourselves: whose key it is, whether it has a run, and what sweeps need (`wandb_sweeps.py`).

The client retries for minutes where a server is away and returns from `finish()` even where nothing arrived; these
questions cost seconds and say what is so.
"""

import base64
import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from recsys_pipeline.core.errors import TrackingError

DEFAULT_URL = "https://api.wandb.ai"
TIMEOUT_S = 10.0
MESSAGE_BYTES = 500
VIEWER = "query Viewer { viewer { id entity } }"
RUN = (
    "query MirroredRun($entity: String!, $project: String!, $run: String!) { project(name: $project, entityName: "
    "$entity) { run(name: $run) { state historyLineCount } } }"
)


class WandbError(TrackingError):
    """A W&B server did not do what was asked; where `retry_after_s` is given it asks to wait so long."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ServerAwayError(WandbError):
    """Nobody answers, or only to say that it is too busy: all else would fail too, and may work later."""


class KeyRefusedError(WandbError):
    """The key is missing or wrong: trying again is of no use."""


@dataclass(frozen=True)
class RunStatus:
    """What the server says of a run."""

    state: str
    history_lines: int


@dataclass(frozen=True)
class WandbServer:
    """A server and the key for it, which is in no text that this object makes of itself."""

    url: str
    key: str = field(repr=False)
    entity: str | None = None

    @classmethod
    def configured(cls) -> "WandbServer":
        """The server that W&B's own variables name; raises `KeyRefusedError` where there is no key."""
        key = os.environ.get("WANDB_API_KEY", "")
        if not key:
            raise KeyRefusedError("WANDB_API_KEY is not set: put the key of your account into the environment or .env")
        return cls(base_url(), key, os.environ.get("WANDB_ENTITY") or None)

    def account(self) -> str:
        """The entity under which runs go; raises `KeyRefusedError`, or `ServerAwayError` after seconds."""
        viewer = self.ask(VIEWER, {}).get("viewer")
        if not viewer:
            raise KeyRefusedError(
                f"{self.url} does not know the key in WANDB_API_KEY: is it the key of another server?"
            )
        return self.entity or viewer["entity"]

    def run(self, entity: str, project: str, run_id: str) -> RunStatus | None:
        """A run as the server has it, or None."""
        found = self.ask(RUN, {"entity": entity, "project": project, "run": run_id}).get("project")
        run = found and found.get("run")
        return RunStatus(run["state"], run["historyLineCount"] or 0) if run else None

    def ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The `data` that a GraphQL operation is answered with; raises `WandbError`, after seconds if nobody does."""
        body = json.dumps({"query": query, "operationName": query.split()[1].partition("(")[0], "variables": variables})
        token = base64.b64encode(f"api:{self.key}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url.rstrip('/')}/graphql", body.encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer).get("data") or {}
        except urllib.error.HTTPError as error:
            raise self._refusal(error) from None  # its cause holds the request, and that the key
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise ServerAwayError(f"{self.url} does not answer ({reason}): is WANDB_BASE_URL right?") from None

    def _refusal(self, error: urllib.error.HTTPError) -> WandbError:
        if error.code in (401, 403):
            return KeyRefusedError(
                f"{self.url} refuses the key in WANDB_API_KEY ({error.code}): copy it anew from your account"
            )
        answer = f"{self.url} answers {error.code} {error.reason}"
        if error.code == 429 or error.code >= 500:
            waits = error.headers.get("Retry-After", "")
            return ServerAwayError(answer, float(waits) if waits.isdigit() else 0.0)
        return WandbError(f"{answer}: {error.read(MESSAGE_BYTES).decode(errors='replace')}")


def base_url() -> str:
    """The server that W&B's client would ask."""
    return os.environ.get("WANDB_BASE_URL") or DEFAULT_URL


def mode_in_words() -> str:
    """How runs reach W&B, as every command says it."""
    if os.environ.get("WANDB_MODE") == "disabled":
        return "switched off (WANDB_MODE is disabled): nothing is tracked or sent"
    if is_online():
        return f"online: runs are sent to {base_url()} as they go"
    mode = os.environ.get("WANDB_MODE", "online")
    why = "WANDB_API_KEY is not set" if mode == "online" else f"WANDB_MODE is {mode}"
    return f"offline ({why}): runs wait below the runtime root until `recsys wandb push`"


def is_online() -> bool:
    """Whether runs are to be sent as they go: a key is there, and `WANDB_MODE` does not object."""
    return bool(os.environ.get("WANDB_API_KEY")) and os.environ.get("WANDB_MODE", "online") == "online"
