"""Failures on demand: which request fails, how, and how often."""

import threading
from dataclasses import dataclass, field

ANY = "*"


@dataclass
class Fault:
    """One misbehaviour of the server.

    `operation` is the name of a GraphQL operation, or "file_stream", "upload", "download", or "*" for every request.
    A fault with `status` answers with it instead of doing what was asked; with `drop` "before" the connection closes
    unanswered and nothing is done, with "after" it is done and the answer is lost; `delay_s` waits before all of these.
    `times` counts down and None means until healed; the first `skip` matching requests pass.
    """

    operation: str
    status: int | None = None
    retry_after_s: float | None = None
    drop: str | None = None
    delay_s: float = 0.0
    times: int | None = 1
    skip: int = 0

    @property
    def spent(self) -> bool:
        return self.times == 0


@dataclass
class Faults:
    """The faults that are still to come, in the order in which they were asked for."""

    pending: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> None:
        """Plan a fault."""
        with self._lock:
            self.pending.append(fault)

    def heal(self) -> None:
        """Forget every planned fault."""
        with self._lock:
            self.pending.clear()

    def strike(self, operation: str) -> Fault | None:
        """The fault that hits this request, if any; each request is hit once at most."""
        with self._lock:
            for fault in self.pending:
                if fault.operation not in (operation, ANY):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                if fault.spent:
                    self.pending.remove(fault)
                return fault
        return None
