"""docs/howto/take-part-with-your-own-system.md, line by line, as a vendor would run them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sammanhang.web.testing import own_town

from ..journeys.conftest import serving
from ..journeys.test_connect_an_app import Shell

__all__ = ["own_town"]
ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "howto" / "take-part-with-your-own-system.md"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        subprocess.run(["bash", "-c", "command -v curl jq"], capture_output=True).returncode != 0,
        reason="The document's lines need curl and jq.",
    ),
]


@pytest.fixture
def running(own_town: str) -> Iterator[str]:
    """A server and its jobs on a small region."""
    server = serving(own_town)
    address = next(server)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    jobs = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.deliveries", "jobs", own_town, address], env=environment, cwd=ROOT
    )  # fmt: skip
    try:
        yield address
    finally:
        jobs.kill()
        jobs.wait()
        next(server, None)


def test_the_lines_take_a_municipality_from_registration_to_catching_up(
    running: str, own_town: str, tmp_path: Path
) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    program = f"{sys.executable} -m sammanhang.cli"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shell = Shell(tmp_path, own_town)
    said = []
    for block in blocks:
        block = block.replace(".venv/bin/sammanhang", program).replace("8099", str(port))
        said.append(shell.run(block.replace("http://127.0.0.1:8000", running)))
    topics, handshake, event, code, status, reply, caught_up, deleted = (
        said[n] for n in (3, 4, 5, 6, 7, 8, 9, 10)
    )
    assert "SubscriptionTopic/care-request" in topics
    assert '"valueCode":"handshake"' in handshake
    assert '"event-number"' in event and "/fhir/Task/" in event and "/fhir/ServiceRequest/" in event
    assert code == "Hemsjukvård\n" and status == "accepted\n" and reply == "completed\n"
    assert '"valueCode":"active"' in caught_up and caught_up.endswith("1\n2\n")
    assert "/fhir/Task/" in deleted and '"DELETE",false]' in deleted
