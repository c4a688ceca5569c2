"""The serving API beside an endpoint of the same server that returns a constant of the same size, in turns.

    python -m recsys_pipeline_tests.benchmarks.bench_serve [--users 30000] [--items 41000] [--rate 400] [--out FILE]

Made-up data of Gowalla's size: 64 factors, 30 pairs a user. The policy is `default` with an MMR of 50 to 10; lists
are logged. Throughput: eight connections that ask again as soon as they are answered. Latency: requests that start at a
fixed rate, whatever became of those before, measured from when each should have started. The generator shares the
machine's cores with the server. Nothing here is compared with a bound: the machine's noise is in the figures.
"""

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np
import uvicorn
from fastapi import Response

from recsys_pipeline.adapters.serving.event_log import EventLog
from recsys_pipeline.adapters.serving.served import Served
from recsys_pipeline.adapters.serving.served_log import ServedLog
from recsys_pipeline.core.keys import ArtifactRef
from recsys_pipeline.core.serving.policy.policy import DEFAULT, parse_policy
from recsys_pipeline.core.serving.policy.request import Request
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.service.app import create_app
from recsys_pipeline.service.opened import Opened
from recsys_pipeline_tests.benchmarks.bench_lists import make_release, pairs

CONNECTIONS, SECONDS, TURNS = 8, 5.0, 3
POLICY = {**DEFAULT, "orderers": [{"mmr": {"relevance": 0.9, "pool": 50}}]}
CONSTANT = "/constant"


def child(folder: Path, port: int) -> None:
    """The server: one process, one thread of faiss."""
    faiss.omp_set_num_threads(1)
    release = Release.load(folder / "release", verify=False)
    ref = ArtifactRef("serving/release", release.day, "0" * 64)
    opened = Opened(Served(release, None, ref, None), {"default": parse_policy(POLICY)})
    user = release.users.all_ids()[0].as_py()
    for _ in range(20):
        opened.served.list_of(Request("warm", 0, user), opened.policies["default"])
    holder: Any = SimpleNamespace(
        opened=opened, is_warm=True, refused="", swaps=0, start=lambda: None, close=lambda: None
    )
    app = create_app(holder, ServedLog(folder / "served"), EventLog(folder / "events"))
    content = b"x" * 2_400

    @app.get(CONSTANT)
    async def constant() -> Response:
        return Response(content, media_type="application/json")

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


class Connection:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def open(self) -> "Connection":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return int(head[9:12]), await self.reader.readexactly(length)


async def throughput(port: int, paths: list[str]) -> float:
    """Answers per second."""
    end, done = time.perf_counter() + SECONDS, 0

    async def ask(number: int) -> None:
        nonlocal done
        connection, at = await Connection(port).open(), number
        while time.perf_counter() < end:
            status, _ = await connection.get(paths[at % len(paths)])
            assert status == 200
            done, at = done + 1, at + CONNECTIONS

    await asyncio.gather(*(ask(number) for number in range(CONNECTIONS)))
    return done / SECONDS


async def latencies_ms(port: int, paths: list[str], rate: float) -> np.ndarray:
    """Of requests at a fixed rate, from when each should have started."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(64):
        free.put_nowait(await Connection(port).open())
    start, found = time.perf_counter() + 0.1, list[float]()

    async def ask(number: int) -> None:
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        connection = await free.get()
        status, _ = await connection.get(paths[number % len(paths)])
        assert status == 200
        found.append(1000 * (time.perf_counter() - due))
        free.put_nowait(connection)

    await asyncio.gather(*(ask(number) for number in range(int(rate * 2 * SECONDS))))
    return np.array(found)


def measure(port: int, paths: list[str], rate: float) -> dict[str, Any]:
    """Both endpoints, in turns."""
    figures: dict[str, Any] = {"throughput": [], "throughput_constant": []}
    for _ in range(TURNS):
        figures["throughput_constant"].append(asyncio.run(throughput(port, [CONSTANT])))
        figures["throughput"].append(asyncio.run(throughput(port, paths)))
    for name, asked in (("constant", [CONSTANT]), ("lists", paths)):
        found = asyncio.run(latencies_ms(port, asked, rate))
        figures |= {f"{name}_p{at}_ms": float(np.percentile(found, at)) for at in (50, 99)}
    figures["ratio"] = float(np.median(np.divide(figures["throughput"], figures["throughput_constant"])))
    return figures


def main() -> None:
    """Print a table, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=30_000)
    parser.add_argument("--items", type=int, default=41_000)
    parser.add_argument("--rate", type=float, default=400.0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(Path(asked.child[0]), int(asked.child[1]))
        return
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        folder = Path(name)
        print("making a release of this size (a minute) ...", flush=True)
        make_release(folder / "release", pairs(asked.users, asked.items, 0.0))
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        server = subprocess.Popen([sys.executable, "-m", __spec__.name, "--child", name, str(port)])
        try:
            _wait_for(port)
            users = np.random.default_rng(1).integers(0, asked.users, 5_000)
            paths = [f"/v1/users/user%20{user}/recommendations?k=10" for user in users]
            figures = {**vars(asked), **measure(port, paths, asked.rate)}
        finally:
            server.terminate()
            server.wait()
    figures.pop("child")
    out = figures.pop("out")
    for figure, value in figures.items():
        print(f"{figure:24} {value if not isinstance(value, float) else round(value, 3)}")
    text = json.dumps(figures)
    print(text)
    if out:
        out.write_text(text + "\n", encoding="utf-8")


def _wait_for(port: int) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    main()
