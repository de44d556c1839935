"""A command beside the server judges by the server's rules, or says that it does not."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from sammanhang.kernel.settings import Settings
from sammanhang.operate.in_use import FILE, as_the_server, place_of, telling


@pytest.fixture
def served(tmp_path: Path) -> Settings:
    own = tmp_path / "own"
    own.mkdir()
    return Settings(data=tmp_path, content_folder=str(own))


def test_a_command_uses_the_content_folder_of_the_running_server(served: Settings) -> None:
    command, said = replace(served, content_folder=""), list[str]()
    with telling(served):
        assert as_the_server(command, said.append, {}).content_folder == served.content_folder
        assert as_the_server(served, said.append, {}) == served
    assert as_the_server(command, said.append, {}).content_folder == "" and said == []


def test_what_the_command_names_itself_wins_and_is_told_when_it_differs(served: Settings) -> None:
    command, said = replace(served, content_folder="/other"), list[str]()
    with telling(served):
        assert as_the_server(command, said.append, {}).content_folder == "/other"
        shipped = replace(served, content_folder="")
        env = {"SAMMANHANG_CONTENT_FOLDER": ""}
        assert as_the_server(shipped, said.append, env).content_folder == ""
    assert len(said) == 2 and served.content_folder in said[0] and "shipped" in said[1]


def test_a_server_that_was_killed_tells_nothing(served: Settings) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    for told in (json.dumps({"pid": ended.pid, "content_folder": "/x"}), "{", "[]"):
        (served.data / FILE).write_text(told)
        assert as_the_server(replace(served, content_folder=""), print, {}).content_folder == ""


def test_a_database_is_named_without_its_password() -> None:
    assert place_of("postgresql://me:secret@db.example.se/care") == "care on db.example.se"
