"""Agents of a W&B sweep as a `Search`: the server proposes, this process trains.

One process may be several agents, so that trials which the server hands out one by one are trained together. While
they train, a thread says so to the server and hears whether somebody stopped one.
"""

import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recsys_pipeline.adapters.wandb.server import KeyRefusedError, WandbError
from recsys_pipeline.adapters.wandb.sweeps import SweepRun, WandbSweep
from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.sweeps.search import Asked
from recsys_pipeline.core.learning.sweeps.space import Sweep, fields_of
from recsys_pipeline.core.learning.sweeps.trials import FAILED, FINISHED, STOPPED, Trial

logger = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
"""As often as W&B's own agents."""
PATIENCE_S = 120.0
"""For so long a server may be away before the sweep gives up; what it has found is kept."""
OTHERS_S = 330.0
"""So long the trials of other processes are waited for; W&B calls a run crashed after five silent minutes."""
UNHEARD = {"pending", "queued"}
"""States of runs that no process has begun to tell of."""
SECONDS, STOPPED_AT = "trial_seconds", "stopped_at"
"""What a trial's run says of itself besides its metrics, for whoever reads the sweep from the server."""


@dataclass
class _Agent:
    id: str
    run_id: str = ""
    """What it trains; empty while it waits."""


class WandbAgents:
    """The `Search` of a sweep at a W&B server; to be used as a context, whose end ends its heartbeats.

    `deadline_s` is how long `ask` may wait for a paused sweep or for a server that is away.
    """

    repeats = False

    def __init__(
        self,
        sweep: Sweep,
        at_server: WandbSweep,
        patience_s: float = PATIENCE_S,
        heartbeat_s: float = HEARTBEAT_S,
        deadline_s: float = math.inf,
        others_s: float = OTHERS_S,
    ) -> None:
        self._sweep, self._at_server = sweep, at_server
        self._patience_s, self._heartbeat_s, self._others_s = patience_s, heartbeat_s, others_s
        self._deadline = time.monotonic() + deadline_s
        self._agents: list[_Agent] = []
        self._stopped: set[str] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name="sweep heartbeats", daemon=True)

    def __enter__(self) -> "WandbAgents":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    def ask(self) -> Asked | None:
        """The next trial that the server hands out; None where it has no more, or the time is up.

        Raises `ModelError` where the server stays away, and `SettingError` for params that are none of the sweep's.
        """
        agent = self._idle()
        while time.monotonic() < self._deadline:
            for command in self._patiently(lambda: self._at_server.beat(agent.id)):
                if command["type"] in ("run", "resume"):
                    agent.run_id = command["run_id"]
                    given = {name: entry["value"] for name, entry in command["args"].items()}
                    return Asked(fields_of(given, self._sweep), agent.run_id)
                if command["type"] == "exit":
                    return None
            self._closing.wait(self._heartbeat_s)
        return None

    def tell(self, trial: Trial) -> None:
        """The agent that trained it is free again; the server learns from the run itself."""
        with self._lock:
            for agent in self._agents:
                if agent.run_id == trial.run_id:
                    agent.run_id = ""

    def others(self, own: Sequence[Trial]) -> list[Trial]:
        """The trials that other processes ran, numbered after our own; those that still run are waited for.

        One that does not end within `others_s` counts as failed: its process has died or hangs. One that was handed
        out and has not been heard of since is waited for a fifth of that, and then left out.
        """
        known, begin = {trial.run_id for trial in own}, time.monotonic()
        while True:
            runs = [run for run in self._patiently(self._at_server.runs) if run.run_id not in known]
            states, waited = {run.state for run in runs}, time.monotonic() - begin
            waits_for = self._others_s if "running" in states else self._others_s / 5 if states & UNHEARD else 0.0
            if waited >= waits_for:
                break
            self._closing.wait(self._heartbeat_s)
        started = [run for run in runs if run.state not in UNHEARD]
        return [trial_of(run, self._sweep, len(own) + at) for at, run in enumerate(started)]

    def is_stopped(self, run_id: str) -> bool:
        """Whether somebody stopped this run on its page, or W&B's early termination did."""
        return run_id in self._stopped

    def _idle(self) -> _Agent:
        for agent in self._agents:
            if not agent.run_id:
                return agent
        agent = _Agent(self._patiently(lambda: self._at_server.register(socket.gethostname())))
        with self._lock:
            self._agents.append(agent)
        return agent

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """What the call gives; tried again while the server is away, up to `patience_s`."""
        give_up = time.monotonic() + self._patience_s
        while True:
            try:
                return call()
            except KeyRefusedError:
                raise
            except WandbError as error:
                if time.monotonic() >= give_up:
                    raise ModelError(
                        f"sweep {self._at_server.path}: {error} for {self._patience_s:.0f} s; its finished trials are "
                        "kept: run it again to go on, or set engine to offline"
                    ) from error
                logger.warning("sweep %s waits: %s", self._at_server.path, error)
                self._closing.wait(max(error.retry_after_s, min(self._heartbeat_s, self._patience_s / 4)))

    def _keep_alive(self) -> None:
        while not self._closing.wait(self._heartbeat_s):
            with self._lock:
                busy = [(agent.id, agent.run_id) for agent in self._agents if agent.run_id]
            # With the run of then: an agent that has become idle in between would be handed a trial that nobody trains.
            for agent, run in busy:
                try:
                    commands = self._at_server.beat(agent, run)
                except WandbError as error:
                    logger.warning("heartbeat of %s: %s", self._at_server.path, error)
                    continue
                self._stopped |= {command["run_id"] for command in commands if command["type"] == "stop"}


def trial_of(run: SweepRun, sweep: Sweep, number: int) -> Trial:
    """A trial as the run of another process tells it."""
    numbers = {name: float(value) for name, value in run.summary.items() if _is_number(value) and name[0] != "_"}
    seconds, stopped_at = numbers.pop(SECONDS, 0.0), numbers.pop(STOPPED_AT, None)
    numbers.pop("epoch", None)
    value = numbers.get(sweep.metric, math.nan)
    params = _named(run.params, sweep.parameters)
    if run.state != "finished" or not math.isfinite(value):
        error = (
            f"run {run.run_id} {run.state} in another process"
            if run.state != "finished"
            else f"{sweep.metric} is {value}"
        )
        return Trial(number, params, numbers, FAILED, seconds, error, {}, run.run_id)
    if stopped_at is not None:
        return Trial(number, params, numbers, STOPPED, seconds, "", {int(stopped_at): value}, run.run_id)
    return Trial(number, params, numbers, FINISHED, seconds, "", {}, run.run_id)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _named(config: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """The sweep's parameters out of a run's config, which holds more, in the sweep's order."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if name in names:
            found[name] = value
        elif isinstance(value, Mapping):
            inner = {key: one for key, one in _named(value, names).items() if one is not None}
            found = {**inner, **found}
    return {name: found.get(name) for name in names}
