"""Load on a server: `wrk` where it is there or can be had, else a small client of our own."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _bench import CONCURRENCY, Figure


@dataclass
class Requests:
    """What to send. Each request is (method, path, body); `headers` go with all of them.

    `choices` are sent in turn, from a random one on.
    """

    choices: list[tuple[str, str, bytes]]
    headers: dict[str, str] = field(default_factory=dict)

    def with_token(self, token: str) -> Requests:
        return Requests(self.choices, self.headers | {"Authorization": f"Bearer {token}"})


@dataclass
class Result:
    """What came of it. Times in milliseconds."""

    per_second: float
    p50: float
    p95: float
    p99: float
    errors: int
    requests: int

    def figure(self, question: str, what: str, unit: str = "/s", **more: Any) -> Figure:
        note = more.pop("note", "")
        if self.errors:
            note = f"{self.errors} of {self.requests} FAILED. {note}"
        return Figure(
            question, what, more.pop("value", self.per_second), unit, self.p50, self.p95, self.p99,
            note=note, **more,
        )  # fmt: skip


def wrk() -> str | None:
    """The program, installed from the distribution when we may; None when it cannot be had."""
    if shutil.which("wrk") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["apt-get", "install", "-y", "wrk"], check=False, **quiet)
    return shutil.which("wrk")


_SCRIPT = """
local file = io.open("%(requests)s", "rb")
local all = {}
while true do
  local head = file:read("*l")
  if not head then break end
  local method, path, size = head:match("^(%%S+) (%%S+) (%%d+)$")
  local body = file:read(tonumber(size))
  file:read("*l")
  all[#all + 1] = {method, path, body}
end
file:close()
%(headers)s
math.randomseed(os.time() + %(seed)d)
local i = math.random(#all)
-- a body costs wrk a copy for each format: made once, then sent as it is
function init(args)
  for _, r in ipairs(all) do
    r[4] = wrk.format(r[1], r[2], nil, #r[3] > 0 and r[3] or nil)
    r[3] = nil
  end
end
function request()
  i = i %% #all + 1
  return all[i][4]
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('RESULT {"requests":%%d,"us":%%d,"errors":%%d,"p50":%%f,"p95":%%f,"p99":%%f}\\n',
    summary.requests, summary.duration, e.status + e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000))
end
"""


def drive(
    url: str,
    requests: Requests,
    seconds: float,
    *,
    concurrency: int = CONCURRENCY,
    warm: float = 1.0,
) -> Result:
    """Sends requests for some seconds, after a short while that is not counted."""
    program = wrk()
    if warm:
        drive(url, requests, warm, concurrency=concurrency, warm=0)
    if program is None:
        return asyncio.run(_own(url, requests, seconds, concurrency))
    with tempfile.TemporaryDirectory() as folder:
        start = begin(program, url, requests, seconds, concurrency, Path(folder))
        out, _ = start.communicate()
    return result_of(out)


def begin(
    program: str, url: str, requests: Requests, seconds: float, concurrency: int, folder: Path
) -> subprocess.Popen[str]:
    """A running `wrk`; `result_of` reads what it prints at its end."""
    file, script = folder / "requests", folder / "script.lua"
    with file.open("wb") as out:
        for method, path, body in requests.choices:
            out.write(f"{method} {path} {len(body)}\n".encode() + body + b"\n")
    headers = "".join(f'wrk.headers["{k}"] = "{v}"\n' for k, v in requests.headers.items())
    values = {"requests": file, "headers": headers, "seed": random.randrange(10**6)}
    script.write_text(_SCRIPT % values, "utf-8")
    length = max(1, round(seconds))
    command = [program, "-t1", f"-c{concurrency}", f"-d{length}s", "--timeout", "30s", "-s", str(script), url]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def result_of(out: str) -> Result:
    """The figures `wrk` printed."""
    line = next((x for x in out.splitlines() if x.startswith("RESULT ")), None)
    if line is None:
        raise SystemExit(f"wrk printed no result:\n{out}")
    r = json.loads(line.removeprefix("RESULT "))
    seconds = r["us"] / 1e6
    return Result(
        (r["requests"] - r["errors"]) / seconds, r["p50"], r["p95"], r["p99"], r["errors"], r["requests"]
    )  # fmt: skip


async def _own(url: str, requests: Requests, seconds: float, concurrency: int) -> Result:
    """A client over plain sockets; slower than wrk, so it lowers what a server seems to do."""
    host, _, port = url.removeprefix("http://").partition(":")
    head = "".join(f"{k}: {v}\r\n" for k, v in requests.headers.items())
    times: list[float] = []
    errors = 0
    end = time.perf_counter() + seconds

    async def one(number: int) -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection(host, int(port))
        place = random.randrange(len(requests.choices))
        while time.perf_counter() < end:
            place = (place + 1) % len(requests.choices)
            method, path, body = requests.choices[place]
            began = time.perf_counter()
            start = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{head}Content-Length: {len(body)}\r\n\r\n"
            writer.write(start.encode() + body)
            status, length = await _answer_head(reader)
            await reader.readexactly(length)
            times.append((time.perf_counter() - began) * 1000)
            errors += status >= 400
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one(i) for i in range(concurrency)))
    took = time.perf_counter() - began
    return Result(
        (len(times) - errors) / took, *(percentile(times, p) for p in (50, 95, 99)), errors, len(times)
    )  # fmt: skip


async def _answer_head(reader: asyncio.StreamReader) -> tuple[int, int]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lines = head.split("\r\n")
    lengths = [int(x.partition(":")[2]) for x in lines if x.lower().startswith("content-length:")]
    return int(lines[0].split()[1]), lengths[0] if lengths else 0


def percentile(values: list[float], percent: float) -> float:
    """The value that so many percent do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


def beside(
    ours: Callable[[float], Result], floor: Callable[[float], Result], seconds: float
) -> tuple[Result, Result]:
    """Both measured in turns, so that a busy neighbour troubles both alike: (ours, floor)."""
    results: list[tuple[Result, Result]] = []
    for _ in range(2):
        low = floor(seconds / 2)
        results.append((ours(seconds / 2), low))
    return mean([r[0] for r in results]), mean([r[1] for r in results])


def mean(results: list[Result]) -> Result:
    """Several stretches as one."""
    n = len(results)
    return Result(
        sum(r.per_second for r in results) / n, sum(r.p50 for r in results) / n,
        sum(r.p95 for r in results) / n, sum(r.p99 for r in results) / n,
        sum(r.errors for r in results), sum(r.requests for r in results),
    )  # fmt: skip
