"""docs/howto/connect-an-app.md, line by line, with a person at the browser where it says so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "howto" / "connect-an-app.md"
pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(
        subprocess.run(["bash", "-c", "command -v curl jq openssl"], capture_output=True).returncode
        != 0,
        reason="The document's lines need curl, jq and openssl.",
    ),
]


class Shell:
    """One shell, whose variables last from block to block."""

    def __init__(self, folder: Path, town: str) -> None:
        environment = {
            **os.environ,
            "SAMMANHANG_DATABASE_URL": town,
            "PYTHONPATH": str(ROOT / "src"),
        }
        self.process = subprocess.Popen(
            ["bash"], cwd=folder, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def run(self, block: str) -> str:
        """What a block prints; a line that fails ends the test."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"set -e; trap 'echo FAILED' ERR\n{block}\necho DONE\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            assert line != "FAILED\n", (block, lines)
            if line == "DONE\n":
                return "".join(lines)
            lines.append(line)
        raise AssertionError((block, lines))


def test_the_lines_connect_a_service_and_an_app(person, server, town, tmp_path):
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    blocks = [
        b.replace(".venv/bin/sammanhang", f"{sys.executable} -m sammanhang.cli") for b in blocks
    ]
    blocks[0] = blocks[0].replace("http://127.0.0.1:8000", server)
    shell = Shell(tmp_path, town)
    assert "launch-ehr" in shell.run(blocks[0])
    shell.run(blocks[1])
    assert int(shell.run(blocks[2])) > 0
    shell.run(blocks[3])
    address = shell.run(blocks[4]).strip()

    page = person.page
    person.log_in("Amira Haddad", "Centrum")
    sent: list[str] = []

    def app(route):
        sent.append(route.request.url)
        route.fulfill(body="ok")

    page.context.route("http://127.0.0.1:9999/**", app)
    page.goto(address)
    page.fill("[name=q]", "svea andersson")
    person.press("Enter")
    page.wait_for_load_state()
    person.click("text=Välj >> nth=-1")
    assert "Vill du ge Growth chart tillgång?" in page.inner_text("h1")
    person.click("text=Ge tillgång")
    page.wait_for_url("http://127.0.0.1:9999/done**")
    assert person.clicks <= 2
    (code,) = parse_qs(urlsplit(sent[0]).query)["code"]

    shell.run(blocks[5].replace("PASTE-IT-HERE", code))
    told = shell.run(blocks[6])
    assert '"patient": "svea-andersson"' in told and told.splitlines()[-1] not in ("", "null")
    assert shell.run(blocks[7]).strip().endswith("401")
    page.goto(f"{server}/apps")
    assert "Growth chart" not in page.inner_text("main")
    for _ in range(40):  # the chart knows of a new app within half a minute
        page.goto(f"{server}/patients/svea-andersson")
        if page.locator(".who-launch", has_text="Growth chart").count():
            break
        page.wait_for_timeout(1000)
    person.click("summary:has-text('Appar')")
    with page.context.expect_page() as opened:
        person.click("text=Growth chart")
    opened.value.wait_for_url("http://127.0.0.1:9999/launch**")
    asked = parse_qs(urlsplit(sent[-1]).query)
    assert sent[-1].startswith("http://127.0.0.1:9999/launch?") and asked["launch"]
    assert asked["iss"] == [f"{server}/fhir"]
    assert "Closed growth-chart" in shell.run(blocks[8])
    shell.process.stdin.close()
    assert shell.process.wait(10) == 0
