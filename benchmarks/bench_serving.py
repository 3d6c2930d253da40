"""Compares an HTTP request to the model server with a null echo of the same transport plus a `session.run`.

The model is a forest of the served family (LightGBM, exported with its windows and features), the request one row of
raw tensors. The echo is a server of the same kind, uvicorn with httptools and uvloop, that reads the body and returns
the same number of bytes. Latency: one connection, the three in turn, so that the machine's load affects all of them.
CPU: time of the server process for 1,000 requests with 32 in flight; a separate process sends the requests.

    python benchmarks/bench_serving.py [--requests 2000] [--repeats 3]
"""

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure

IN_FLIGHT = 32
MODEL = "benchmark"
TREES = 300


@dataclass(frozen=True)
class Target:
    """A measured server: its port, its process, and the bytes of one request."""

    port: int
    pid: int
    request: bytes


def forest() -> tuple[bytes, dict[str, Any]]:
    """A graph of the served family, and one row for its requests."""
    import lightgbm
    import numpy as np
    import polars as pl

    from sinet_pipelines.applications.turbofan.features.regimes import find_regimes, setting_cells
    from sinet_pipelines.applications.turbofan.features.sample import mean_engine
    from sinet_pipelines.applications.turbofan.graph.served import WindowPreparation
    from sinet_pipelines.applications.turbofan.schemas.features import FEATURE_NAMES
    from sinet_pipelines.applications.turbofan.simulator import simulate_fleet
    from sinet_pipelines.applications.turbofan.task import RUL
    from sinet_pipelines.models.gradient_boosting import BoostedModel
    from sinet_pipelines.quantization.export import export

    history = simulate_fleet(history_engines=30, live_engines=1).train.with_columns(role=pl.lit("history"))
    regimes = find_regimes(setting_cells(history))
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1000, len(FEATURE_NAMES))).astype(np.float32)
    target = 60 + 20 * features[:, 0] + rng.normal(size=len(features))
    data = lightgbm.Dataset(features, target, params={"verbose": -1})
    booster = lightgbm.train(
        {"objective": "regression", "verbose": -1, "num_leaves": 31, "num_threads": 1}, data, TREES
    )
    model = BoostedModel(FEATURE_NAMES, booster.model_to_string(), RUL)
    graph = export(model, preparation=WindowPreparation(regimes), family="gradient_boosting")
    engine = mean_engine(regimes)
    row = {
        "window": engine.window_BTC,
        "first_cycles": engine.first_cycles_BTC,
        "cycle": engine.cycle_B.astype(np.float32)[:, None],
    }
    return graph, row


def request_bytes(path: str, row: Mapping[str, Any]) -> bytes:
    """One complete HTTP request with the row as raw tensors, for a response of raw tensors."""
    inputs = [
        {"name": name, "shape": values.shape, "datatype": "FP32", "parameters": {"binary_data_size": values.nbytes}}
        for name, values in row.items()
    ]
    header = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    body = header + b"".join(values.tobytes() for values in row.values())
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Inference-Header-Content-Length: {len(header)}",
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def exchange(connection: socket.socket, request: bytes) -> bytes:
    """Sends the request, reads the complete response, and returns its body."""
    connection.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        sys.exit(f"the server answered {head[:200]!r} {body[:300]!r}")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return body


def serve_echo(port: int, answer_bytes: int) -> None:
    """Serves the null echo until it is ended."""
    import uvicorn
    import uvloop

    from sinet_pipelines.deployment.bodies import BodyReader

    bodies = BodyReader()
    answer = bytes(answer_bytes)
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % answer_bytes)]

    async def echo(scope: Mapping[str, Any], receive: Callable, send: Callable) -> None:
        await bodies.read(scope["headers"], receive)
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.body", "body": answer})

    listening = socket.create_server(("127.0.0.1", port), backlog=2048)
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(
        echo,
        http="httptools",
        loop="uvloop",
        ws="none",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        proxy_headers=False,
    )
    uvloop.run(uvicorn.Server(config).serve(sockets=[listening]))


@contextmanager
def servers(folder: Path, graph: bytes, row: Mapping[str, Any]) -> Iterator[dict[str, Target]]:
    """The model server and the echo, each in a separate process, ended afterwards."""
    from sinet_pipelines.deployment.process import ensure_server, stop_servers
    from sinet_pipelines.deployment.publish import publish_model

    file = folder / "model.onnx"
    file.write_bytes(graph)
    manifest = publish_model(folder / "models", MODEL, version="1", onnx=file, sample=row)
    request = request_bytes(f"/v2/models/{MODEL}/infer", row)
    endpoint = ensure_server(
        folder / "endpoint",
        name=MODEL,
        region="WEST",
        repository=folder / "models",
        model=MODEL,
        version="1",
        sha256=manifest.sha256,
    )
    port = int(endpoint.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        answer_bytes = len(exchange(connection, request))
    command = [sys.executable, __file__, "--echo", str(answer_bytes)]
    echo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=measure.ROOT)
    try:
        echo_port = int(echo.stdout.readline())
        yield {"server": Target(port, endpoint.pid, request), "echo": Target(echo_port, echo.pid, request)}
    finally:
        echo.terminate()
        echo.wait()
        stop_servers(folder / "endpoint")


def latencies(targets: Mapping[str, Target], run: Callable[[], object], *, requests: int) -> dict[str, float]:
    """The median time in ms of a request to each server and of a run of the graph alone, in turn."""
    took: dict[str, list[float]] = {name: [] for name in (*targets, "run")}
    connections = {name: socket.create_connection(("127.0.0.1", target.port)) for name, target in targets.items()}
    for connection in connections.values():
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for number in range(requests + 100):
        for name, connection in connections.items():
            _timed(took[name], lambda c=connection, t=targets[name]: exchange(c, t.request), keep=number >= 100)
        _timed(took["run"], run, keep=number >= 100)
    for connection in connections.values():
        connection.close()
    return {f"{name}_ms": 1000 * statistics.median(values) for name, values in took.items()}


def _timed(into: list[float], call: Callable[[], object], *, keep: bool) -> None:
    started = time.perf_counter()
    call()
    if keep:
        into.append(time.perf_counter() - started)


def cpu_per_1000(target: Target, *, requests: int) -> float:
    """CPU seconds of the server's process for 1,000 requests, 32 in flight."""
    import psutil

    process = psutil.Process(target.pid)
    asyncio.run(_load(target, 10 * IN_FLIGHT))  # opens connections and warms the code up
    before = process.cpu_times()
    asyncio.run(_load(target, requests))
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) * 1000 / requests


async def _load(target: Target, requests: int) -> None:
    await asyncio.gather(*(_send_many(target, requests // IN_FLIGHT) for _ in range(IN_FLIGHT)))


async def _send_many(target: Target, requests: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    for _ in range(requests):
        writer.write(target.request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
    writer.close()
    await writer.wait_closed()


def client(args: argparse.Namespace) -> Mapping[str, float]:
    """Starts both servers, sends requests to them, and runs the graph alone."""
    from sinet_pipelines.deployment.model import open_graph

    graph, row = forest()
    session = open_graph(graph, MODEL).session
    with tempfile.TemporaryDirectory(prefix="sinet-bench-") as folder, servers(Path(folder), graph, row) as targets:
        figures = latencies(targets, lambda: session.run(None, row), requests=args.requests)
        for name, target in targets.items():
            figures[f"{name}_cpu_s"] = cpu_per_1000(target, requests=args.requests // IN_FLIGHT * IN_FLIGHT)
        started = time.process_time()
        for _ in range(1000):
            session.run(None, row)
        return {**figures, "run_cpu_s": time.process_time() - started, "server_mib": _resident(targets["server"].pid)}


def _resident(pid: int) -> float:
    import psutil

    return psutil.Process(pid).memory_info().rss / 2**20


def compare(args: argparse.Namespace) -> None:
    if args.echo:
        serve_echo(0, args.echo)
        return
    arguments = ["--requests", str(args.requests)]
    found = measure.rounds(__file__, ["client"], repeats=args.repeats, arguments=arguments)["client"]
    table = measure.Table(f"serving: one row over HTTP, a forest of {TREES} trees, {args.requests} requests")
    for name in ("server", "echo", "run"):
        table.add(f"{name}: p50", found[f"{name}_ms"], unit="ms")
    parts = zip(found["server_ms"], found["echo_ms"], found["run_ms"], strict=True)
    table.add("server - echo - run: p50", [s - e - r for s, e, r in parts], unit="ms", aim="<= 0.1")
    parts = zip(found["server_ms"], found["echo_ms"], found["run_ms"], strict=True)
    table.add("server / (echo + run), p50", [s / (e + r) for s, e, r in parts], unit="x")
    for name in ("server", "echo", "run"):
        table.add(f"{name}: CPU per 1,000", found[f"{name}_cpu_s"], unit="s")
    parts = zip(found["server_cpu_s"], found["echo_cpu_s"], found["run_cpu_s"], strict=True)
    table.add("server / (echo + run), CPU", [s / (e + r) for s, e, r in parts], unit="x")
    table.add("server: memory", found["server_mib"], unit="MiB")
    table.print()


if __name__ == "__main__":
    measure.main(
        __doc__.splitlines()[0],
        variants={"client": client},
        compare=compare,
        options={
            "--requests": {"type": int, "default": 2000},
            "--repeats": {"type": int, "default": 3},
            "--echo": {"type": int, "help": argparse.SUPPRESS},
        },
    )
