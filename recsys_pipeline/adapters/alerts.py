"""Alerts: what went wrong, in a file that stays, and at a webhook where one is set.

An alert never fails what it tells of. The file is append-only JSON lines below the runtime root, so that the history of
alerts survives the orchestrator's own database.
"""

import dataclasses
import json
import logging
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Alert:
    """A failed run, as people read it."""

    at: str
    """UTC, ISO."""
    title: str
    text: str
    job: str
    partition: str
    """Empty for a job without partitions."""
    run_id: str


class AlertLog:
    """The file of all alerts of a deployment."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, alert: Alert) -> None:
        """Add one line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(dataclasses.asdict(alert)) + "\n")

    def read(self) -> list[Alert]:
        """All alerts, oldest first; a line that was cut off by a crash is left out, with a warning."""
        if not self.path.exists():
            return []
        found = []
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                found.append(Alert(**json.loads(line)))
            except (ValueError, TypeError):
                logger.warning("line %d of %s is no alert and is left out", number, self.path)
        return found


def post(url: str, alert: Alert, timeout_s: float = TIMEOUT_S) -> str:
    """Send an alert to a webhook as JSON; returns why that failed, or nothing.

    `text` is what chat services show; the other fields are for programs. The address may hold a secret, so that no
    message names it.
    """
    body = {**dataclasses.asdict(alert), "text": f"{alert.title}\n{alert.text}"}
    try:
        request = urllib.request.Request(
            url, json.dumps(body).encode(), headers={"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=timeout_s):
            return ""
    except urllib.error.HTTPError as error:
        return f"the webhook answered {error.code}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None)
        return f"the webhook cannot be reached ({type(reason or error).__name__})"
