"""Every command has help, an example and documented exit codes, and ends with the right one."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import click
import pytest

from sammanhang import cli
from sammanhang.kernel import settings as settings_module
from sammanhang.kernel.errors import Conflict
from sammanhang.operate.check import check_content
from sammanhang.operate.errors import DatabaseUnreachable


def commands(group: click.Group, name: str = "") -> list[tuple[str, click.Command]]:
    found = []
    for part, command in group.commands.items():
        full = f"{name} {part}".strip()
        found += commands(command, full) if isinstance(command, click.Group) else [(full, command)]
    return found


ALL = commands(cli.cli)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("SAMMANHANG_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "stop_on_signals", lambda: None)


def test_the_commands_are_the_documented_ones() -> None:
    assert sorted(name for name, _ in ALL) == [
        "access logout",
        "access preflight",
        "access preview",
        "access review",
        "audit follow",
        "audit verify",
        "check",
        "clients add",
        "clients close",
        "clients demo",
        "clients list",
        "export",
        "jobs",
        "keys list",
        "keys rotate",
        "keys withdraw",
        "load",
        "partners add",
        "partners close",
        "partners list",
        "region create",
        "run",
        "settings",
        "work adrift",
        "work move-unit",
    ]


@pytest.mark.parametrize("name", [name for name, _ in ALL])
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.call([*name.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert f"sammanhang {name}" in said
    assert "Example" in said
    for code in range(5):
        assert f"\n    {code}  " in said


def test_used_wrongly(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.call(["lod"]) == 2
    assert cli.call(["load", "no-such-file.ndjson"]) == 2
    assert "no-such-file.ndjson" in capsys.readouterr().err


def test_a_bad_setting(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SAMMANHANG_PORT", "http")
    assert cli.call(["settings"]) == 2
    assert "SAMMANHANG_PORT is 'http'" in capsys.readouterr().err


@pytest.mark.asvs("v5.0.0-13.3.1")
def test_settings_in_force(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAMMANHANG_PORT", "8123")
    monkeypatch.setenv("SAMMANHANG_PROT", "8123")
    monkeypatch.setenv("SAMMANHANG_DATABASE_URL", "postgresql://user:hemligt@db/x")
    assert cli.call(["settings"]) == 0
    said = capsys.readouterr()
    assert "8123  (set)" in said.out
    assert "hemligt" not in said.out
    assert "Did you mean SAMMANHANG_PORT?" in said.err


def test_settings_as_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.call(["settings", "--markdown"]) == 0
    assert capsys.readouterr().out == settings_module.markdown()


def test_a_port_in_use(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv("SAMMANHANG_PORT", str(other.getsockname()[1]))
        assert cli.call(["run"]) == 4
    said = capsys.readouterr().err
    assert "is used by another program" in said
    assert len(said.splitlines()) == 1
    assert not Path(".data").exists()


@pytest.mark.asvs("v5.0.0-16.5.2")
def test_a_database_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAMMANHANG_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    assert cli.call(["clients", "demo"]) == 3
    said = capsys.readouterr().err
    assert said.startswith("The database cannot be reached")
    assert len(said.splitlines()) == 1


def test_a_data_folder_that_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SAMMANHANG_DATA", str(tmp_path / "file" / "data"))
    assert cli.call(["clients", "demo"]) == 4
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.asvs("v5.0.0-13.2.3")
def test_no_demo_client_outside_the_demo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAMMANHANG_DEMO", "false")
    assert cli.call(["clients", "demo"]) == 1
    assert "no demo client" in capsys.readouterr().err


APP = [
    "clients", "add", "Growth chart", "--for", "staff", "--publisher", "Curves Ltd", "--scope", "openid", "--scope",
    "user/Observation.rs",
]  # fmt: skip


def test_an_app_is_registered_listed_and_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], empty_database: str
) -> None:
    monkeypatch.setenv("SAMMANHANG_DATABASE_URL", empty_database)
    there = ["--redirect-uri", "https://app.example/done", "--id", "curves"]
    assert cli.call([*APP, *there]) == 0
    said = capsys.readouterr().out
    assert "id      curves" in said and len(said.split("secret  ")[1].strip()) >= 40
    assert cli.call([*APP, *there]) == 1
    assert "already" in capsys.readouterr().err
    assert cli.call([*APP, *there[:2], "--proof", "public", "--id", "open"]) == 0
    assert "secret" not in capsys.readouterr().out
    assert cli.call(["clients", "close", "curves"]) == 0
    assert cli.call(["clients", "list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "secret" in lines["curves"] and "closed" in lines["curves"]
    assert "public" in lines["open"] and "staff" in lines["open"] and "in use" in lines["open"]
    assert cli.call(["clients", "close", "nobody"]) == 1


def test_a_bad_registration_says_what_is_wrong_and_where(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    empty_database: str,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SAMMANHANG_DATABASE_URL", empty_database)
    assert cli.call([*APP, "--redirect-uri", "http://app.example/*", "--scope", "nonsense"]) == 1
    said = capsys.readouterr().err
    assert "redirect_uris: http://app.example/*: has a wildcard" in said
    assert "scopes: 'nonsense' is not a scope this server knows." in said
    (tmp_path / "keys.json").write_text("{")
    assert cli.call([*APP, "--jwks", str(tmp_path / "keys.json")]) == 1
    assert "is not JSON" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Conflict("It exists."), 1),
        (DatabaseUnreachable("Nobody answers."), 3),
        (OSError(28, "No space left on device", "/data/x"), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_faults_become_one_sentence_and_a_code(
    fault: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        raise fault

    assert cli.call_safely(work) == code
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_unexpected_fault_is_not_hidden() -> None:
    def work() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cli.call_safely(work)


def test_content_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "forms").mkdir()
    (tmp_path / "forms" / "good.json").write_text('{"title": "Ett formulär"}')
    assert check_content(tmp_path).ok
    (tmp_path / "forms" / "bad.json").write_text("{")
    (tmp_path / "bad.toml").write_text("= 3")
    result = check_content(tmp_path)
    assert not result.ok
    assert "forms/bad.json" in result.found
    assert "bad.toml" in result.found
