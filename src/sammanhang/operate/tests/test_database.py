"""The embedded database starts, is found again, survives being killed, and says what is wrong."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sammanhang.operate import account as account_module
from sammanhang.operate.database import EmbeddedDatabase, running_dsn
from sammanhang.operate.errors import DatabaseStopped, DataFolderBusy, DataFolderUnusable, DiskFull
from sammanhang.operate.postmaster import is_alive, running_pid
from sammanhang.operate.tuning import shared_buffers_mb

pytestmark = pytest.mark.slow

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand the database to another")


def ask(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def wait_until_gone(pid: int) -> None:
    patience = time.monotonic() + 20
    while is_alive(pid):
        assert time.monotonic() < patience, f"process {pid} is still there"
        time.sleep(0.02)


def test_a_second_start_finds_its_data_and_is_quick(data_folder: Path) -> None:
    with EmbeddedDatabase(data_folder) as first:
        with psycopg.connect(first.dsn()) as connection:
            connection.execute("CREATE TABLE kept (word text)")
            connection.execute("INSERT INTO kept VALUES ('åäö')")
        assert running_dsn(data_folder) == first.dsn()
    assert running_dsn(data_folder) is None
    started = time.monotonic()
    with EmbeddedDatabase(data_folder) as second:
        assert time.monotonic() - started < 2
        assert ask(second.dsn(), "SELECT word FROM kept") == "åäö"


@pytest.mark.asvs("v5.0.0-13.2.2", "v5.0.0-12.3.1")
def test_it_is_durable_private_and_off_the_network(own_database: EmbeddedDatabase) -> None:
    dsn = own_database.dsn()
    shown = {
        name: ask(dsn, f"SHOW {name}")
        for name in ("fsync", "synchronous_commit", "data_checksums", "listen_addresses", "jit")
    }
    assert shown == {
        "fsync": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "jit": "off",
    }
    socket_folder = Path(psycopg.conninfo.conninfo_to_dict(dsn)["host"])  # type: ignore[arg-type]
    assert socket_folder.stat().st_mode & 0o077 == 0
    assert (
        ask(
            dsn,
            "SELECT current_user || ' ' || pg_encoding_to_char(encoding) "
            "FROM pg_database WHERE datname = current_database()",
        )
        == "sammanhang UTF8"
    )


@pytest.mark.asvs("v5.0.0-13.2.2")
@as_root
def test_as_root_it_runs_as_somebody_else(own_database: EmbeddedDatabase) -> None:
    assert Path(f"/proc/{own_database.pid}").stat().st_uid != 0


@as_root
def test_out_of_reach_it_moves_to_a_place_in_reach(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = data_folder / "private", data_folder / "public"
    private.mkdir(mode=0o700)
    programs = account_module.postgres_programs()
    package = programs.parent.parent
    for folder in (package, package.with_name(package.name + ".libs")):
        shutil.copytree(folder, private / folder.name, symlinks=True)
    monkeypatch.setattr(account_module, "SYSTEM_FOLDER", public)
    monkeypatch.setattr(
        account_module,
        "postgres_programs",
        lambda: private / package.name / "pginstall" / "bin",
    )
    with EmbeddedDatabase(private / "data") as database:
        assert database.cluster.is_relative_to(public)
        assert ask(database.dsn(), "SELECT 1") == 1
    said = capsys.readouterr().err
    assert "cannot reach" in said
    assert str(public) in said


def test_a_deep_data_folder_gets_a_short_socket_path(data_folder: Path) -> None:
    with EmbeddedDatabase(data_folder / ("d" * 60) / ("e" * 60)) as database:
        assert ask(database.dsn(), "SELECT 1") == 1
        host = psycopg.conninfo.conninfo_to_dict(database.dsn())["host"]
    assert not Path(str(host)).exists()


def test_killed_outright_it_recovers(data_folder: Path) -> None:
    database = EmbeddedDatabase(data_folder)
    database.start()
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        os.kill(database.pid, signal.SIGKILL)
        patience = time.monotonic() + 5
        while database.alive():
            assert time.monotonic() < patience
            time.sleep(0.01)
        fault = database.why_stopped()
        assert isinstance(fault, DatabaseStopped)
        assert fault.exit_code == 3
        assert str(database.log) in str(fault)
    database.stop()
    with EmbeddedDatabase(data_folder) as again:
        assert ask(again.dsn(), "SELECT one FROM kept") == 1


def test_a_stranger_with_the_old_process_number_is_left_alone(data_folder: Path) -> None:
    with EmbeddedDatabase(data_folder) as database:
        pid_file = database.cluster / "postmaster.pid"
        left = pid_file.read_text()
    stranger = subprocess.Popen(["sleep", "60"], **account_options())
    try:
        lines = left.splitlines()
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert running_pid(database.cluster) == 0
        with EmbeddedDatabase(data_folder) as again:
            assert ask(again.dsn(), "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def account_options() -> dict[str, Any]:
    found = account_module.unprivileged_account()
    return dict(found.process_options()) if found else {}


def start_elsewhere(data_folder: Path, **options: bool) -> tuple[subprocess.Popen[str], int]:
    """Start the database from another process; that process, and the database's number."""
    program = (
        "import time\n"
        "from sammanhang.operate.database import EmbeddedDatabase\n"
        f"database = EmbeddedDatabase({str(data_folder)!r}, **{options!r})\n"
        "database.start()\n"
        "print(database.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    with run.stdout as said:
        return run, int(said.readline())


def test_what_a_killed_run_left_running_is_taken_over(data_folder: Path) -> None:
    run, pid = start_elsewhere(data_folder, dies_with_parent=False)
    run.kill()
    run.wait()
    with EmbeddedDatabase(data_folder) as found:
        assert found.pid == pid
        assert ask(found.dsn(), "SELECT 1") == 1
    assert not is_alive(pid)


def test_it_ends_with_a_run_that_is_killed_outright(data_folder: Path) -> None:
    run, pid = start_elsewhere(data_folder)
    run.kill()
    run.wait()
    # A new run may come while the old database is still on its way down.
    with EmbeddedDatabase(data_folder) as again:
        assert ask(again.dsn(), "SELECT 1") == 1
    wait_until_gone(pid)


def test_two_runs_cannot_share_a_data_folder(own_database: EmbeddedDatabase) -> None:
    with pytest.raises(DataFolderBusy, match=f"process {os.getpid()}"):
        EmbeddedDatabase(own_database.folder).start()
    assert own_database.alive()


def test_a_data_folder_that_cannot_be_made_says_so(data_folder: Path) -> None:
    (data_folder / "file").write_text("in the way")
    with pytest.raises(DataFolderUnusable, match="SAMMANHANG_DATA"):
        EmbeddedDatabase(data_folder / "file" / "data").start()


def test_a_database_of_another_version_is_not_touched(data_folder: Path) -> None:
    with EmbeddedDatabase(data_folder) as database:
        cluster = database.cluster
    (cluster / "PG_VERSION").write_text("9\n")
    with pytest.raises(DataFolderUnusable, match="made by PostgreSQL 9"):
        EmbeddedDatabase(data_folder).start()


def test_a_full_disk_says_so(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 5_000_000))
    with pytest.raises(DiskFull, match="only 5 MB left"):
        EmbeddedDatabase(data_folder).start()


def test_an_interrupted_first_start_leaves_no_half_database(data_folder: Path) -> None:
    half = data_folder / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedDatabase(data_folder) as database:
        assert ask(database.dsn(), "SELECT 1") == 1
    assert not half.exists()


@pytest.mark.parametrize(("gigabytes", "megabytes"), [(24, 2048), (8, 1024), (4, 512), (1, 256)])
def test_shared_buffers_fit_the_machine(gigabytes: int, megabytes: int) -> None:
    assert shared_buffers_mb(gigabytes * 1024**3) == megabytes
