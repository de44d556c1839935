"""The embedded database: a PostgreSQL of our own in the data folder, reached by a socket only.

`EmbeddedDatabase` starts, finds again and stops it. Nothing else in the system knows that the
database is embedded: everybody gets a connection string.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import psycopg
from psycopg.conninfo import make_conninfo

from sammanhang.operate.account import (
    reachable_data,
    reachable_programs,
    unprivileged_account,
)
from sammanhang.operate.errors import (
    DatabaseStopped,
    DatabaseUnreachable,
    DataFolderBusy,
    DataFolderUnusable,
    DiskFull,
    OperateError,
    folder_fault,
    telling_line,
)
from sammanhang.operate.postmaster import (
    SOCKET,
    clean_environment,
    die_with_parent,
    is_alive,
    remove_stale_files,
    running_pid,
    says_ready,
    socket_folder_of,
)
from sammanhang.operate.tuning import HBA, configuration

NAME = "sammanhang"
_SOCKET_PATH_LIMIT = 107
_ROOM_NEEDED = 200_000_000
_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_LINGERING_SECONDS = 15.0
_LOG_BYTES = 20 * 1024 * 1024
_SHORT_SOCKET_FOLDER = "sammanhang-socket-"


class EmbeddedDatabase:
    """A PostgreSQL server whose cluster lives in `data_dir/postgres`.

    Entering starts it (first making the cluster), or takes over one that a killed run left
    behind; leaving stops it. `durable=False` turns off fsync, for tests whose data may be lost.
    Raises `DataFolderBusy`, `DataFolderUnusable`, `DiskFull` or `DatabaseUnreachable`.
    """

    def __init__(
        self, data_dir: Path | str, *, durable: bool = True, dies_with_parent: bool = True
    ) -> None:
        self.folder = Path(data_dir).absolute()
        self.durable = durable
        self.dies_with_parent = dies_with_parent
        self.cluster = self.folder / "postgres"
        self.log = self.folder / "postgres.log"
        self._account = unprivileged_account()
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._lock: IO[str] | None = None
        self._socket_folder: Path | None = None
        self._log_start = 0

    def __enter__(self) -> EmbeddedDatabase:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the database server; 0 before it is started."""
        return self._pid

    def dsn(self, name: str = NAME) -> str:
        """The connection string of database `name` in this cluster."""
        if self._socket_folder is None:
            raise DatabaseUnreachable("The embedded database has not been started.")
        return _conninfo(self._socket_folder, name)

    def start(self) -> None:
        """Start the server and return once it takes connections."""
        self._make_folder()
        self._take_lock()
        try:
            self.cluster = reachable_data(self.folder, self._account)
            self._check_room()
            if not self._take_over():
                self._initialise()
                self._socket_folder = self._make_socket_folder()
                self._configure(self._socket_folder)
                self._launch()
            self._create_database()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server cleanly (a checkpoint is written) and let go of the data folder."""
        if self._pid:
            for sign in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, sign)
                if self._wait_gone(_STOP_SECONDS):
                    break
            self._pid = 0
            self._process = None
        if self._socket_folder and self._socket_folder.name.startswith(_SHORT_SOCKET_FOLDER):
            shutil.rmtree(self._socket_folder, ignore_errors=True)
        self._socket_folder = None
        if self._lock:
            self._lock.close()
            self._lock = None

    def leave_running(self) -> None:
        """Let go of the server without stopping it: whoever knows its data folder may use it."""
        self._pid = 0
        self._process = None
        if self._lock:
            self._lock.close()
            self._lock = None

    def alive(self) -> bool:
        """Whether the server process is still there."""
        if self._process is not None:
            return self._process.poll() is None
        return bool(self._pid) and is_alive(self._pid)

    def why_stopped(self) -> OperateError:
        """The sentence for a server that ended although nobody asked it to."""
        if self._is_full():
            return DiskFull(
                f"The disk that holds {self.cluster} is full, so the database stopped: "
                "make room and start again; nothing acknowledged is lost."
            )
        return DatabaseStopped(
            "The database ended unexpectedly, so the server stopped; start again and it recovers. "
            f"Its log is {self.log}."
        )

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".probe-{os.getpid()}"
            probe.write_text("x", encoding="utf-8")
            probe.unlink()
        except OSError as fault:
            raise folder_fault(self.folder, fault) from fault

    def _take_lock(self) -> None:
        """One run per data folder; the system lets go of the lock however a run ends."""
        self._lock = (self.folder / "run.lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._lock.close()
            self._lock = None
            raise DataFolderBusy(
                f"Another run (process {holder}) already uses the data folder {self.folder}; "
                "stop it, or give this one another folder with SAMMANHANG_DATA."
            ) from None
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()

    def _take_over(self) -> bool:
        """Whether a server that a killed run left behind runs on, and is now ours."""
        self._pid = running_pid(self.cluster)
        self._socket_folder = socket_folder_of(self.cluster)
        if not self._pid or self._socket_folder is None:
            return False
        try:
            psycopg.connect(self.dsn("postgres")).close()
        except psycopg.OperationalError:
            # It is on its way down: let it finish, then start anew.
            self._wait_gone(_STOP_SECONDS)
            self._pid = 0
            return False
        return True

    def _make_socket_folder(self) -> Path:
        """A folder that only the server's account can enter, with a path short enough."""
        folder = self.cluster.parent / "socket"
        if len(os.fsencode(folder / SOCKET)) <= _SOCKET_PATH_LIMIT:
            folder.mkdir(mode=0o700, exist_ok=True)
        else:
            folder = Path(tempfile.mkdtemp(prefix=_SHORT_SOCKET_FOLDER))
        folder.chmod(0o700)
        self._own(folder)
        return folder

    def _check_room(self) -> None:
        free = shutil.disk_usage(self.cluster.parent).free
        if free < _ROOM_NEEDED:
            raise DiskFull(
                f"The disk that holds {self.cluster.parent} has only {free // 1_000_000} MB left; "
                f"the database needs at least {_ROOM_NEEDED // 1_000_000} MB."
            )

    def _initialise(self) -> None:
        """Make the cluster, aside first, so that an interrupted attempt leaves no half of one."""
        if (self.cluster / "PG_VERSION").exists():
            return
        aside = self.cluster.with_name("postgres.new")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        self._own(aside)
        made = self._run(
            "initdb",
            f"--pgdata={aside}",
            f"--username={NAME}",
            "--encoding=UTF8",
            "--locale=C",
            "--data-checksums",
            "--auth=trust",
            "--no-instructions",
            *(() if self.durable else ("--no-sync",)),
        )
        if made.returncode:
            shutil.rmtree(aside, ignore_errors=True)
            raise self._fault(made.stderr.decode(errors="replace"))
        aside.rename(self.cluster)

    def _configure(self, socket_folder: Path) -> None:
        """Write the configuration anew at each start, so that it is always this version's."""
        version = (self.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        ours = self._run("postgres", "--version").stdout.decode().split()[-1].split(".")[0]
        if version != ours:
            raise DataFolderUnusable(
                f"The database in {self.cluster} was made by PostgreSQL {version}, and this is "
                f"{ours}; export it with the older version and load it into a new data folder."
            )
        settings = configuration(self.cluster, socket_folder, durable=self.durable)
        for name, text in (("postgresql.conf", settings), ("pg_hba.conf", HBA)):
            fresh = self.cluster / f"{name}.new"
            fresh.write_text(text, encoding="utf-8")
            self._own(fresh)
            fresh.replace(self.cluster / name)

    def _launch(self) -> None:
        """Start the server; wait out processes of a killed one that have not noticed yet."""
        give_up = time.monotonic() + _LINGERING_SECONDS
        while True:
            fault = self._launch_once()
            if fault is None:
                return
            lingering = "pre-existing shared memory" in fault or "lock file" in fault
            if not lingering or time.monotonic() > give_up:
                raise self._fault(fault)
            time.sleep(0.2)

    def _launch_once(self) -> str | None:
        """None once the server takes connections, else what its log says."""
        remove_stale_files(self.cluster)
        with self.log.open("ab") as log:
            if log.tell() > _LOG_BYTES:
                log.truncate(0)
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [self._program("postgres"), "-D", str(self.cluster)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=clean_environment(),
                # Ctrl-C in the terminal is ours to handle: the server stops after its clients.
                start_new_session=True,
                preexec_fn=die_with_parent if self.dies_with_parent else None,
                **self._as_account(),
            )
        self._pid = self._process.pid
        patience = time.monotonic() + _START_SECONDS
        while self._process.poll() is None:
            if says_ready(self.cluster, self._pid):
                return None
            if time.monotonic() > patience:
                return f"it did not become ready in {_START_SECONDS:.0f} seconds"
            time.sleep(0.01)
        self._pid = 0
        return self._said()

    def _create_database(self) -> None:
        try:
            with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
                query = "SELECT 1 FROM pg_database WHERE datname = %s"
                if connection.execute(query, (NAME,)).fetchone() is None:
                    connection.execute(f"CREATE DATABASE {NAME}")
        except psycopg.Error as fault:
            if self._is_full():
                raise self.why_stopped() from fault
            raise DatabaseUnreachable(
                f"The embedded database was started but does not answer: {telling_line(str(fault))}."
            ) from fault

    def _fault(self, said: str) -> OperateError:
        """The error for a database program that failed, from what it said."""
        if "No space left" in said or self._is_full():
            return DiskFull(
                f"The disk that holds {self.cluster.parent} is full: make room and start again."
            )
        if "Permission denied" in said or "wrong ownership" in said or "permissions" in said:
            return DataFolderUnusable(
                f"The database cannot use {self.cluster}: {telling_line(said)}; "
                "it must belong to the account that runs it."
            )
        return DatabaseUnreachable(
            f"The embedded database could not start: {telling_line(said)}. Its log is {self.log}."
        )

    def _is_full(self) -> bool:
        with contextlib.suppress(OSError):
            return shutil.disk_usage(self.cluster.parent).free < 1_000_000 or (
                "No space left" in self._said()
            )
        return False

    def _said(self) -> str:
        """What the server wrote in its log since it was started, the last of it."""
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - 8000))
            return log.read().decode(errors="replace")

    def _wait_gone(self, seconds: float) -> bool:
        patience = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > patience:
                return False
            time.sleep(0.01)
        return True

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [self._program(program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            env=clean_environment(),
            check=False,
            **self._as_account(),
        )

    def _program(self, name: str) -> str:
        return str(reachable_programs(self._account) / name)

    def _as_account(self) -> Any:
        return self._account.process_options() if self._account else {}

    def _own(self, path: Path) -> None:
        if self._account:
            self._account.own(path)


def running_dsn(data_dir: Path | str) -> str | None:
    """The connection string of the server running in this data folder, if one is."""
    folder = Path(data_dir).absolute()
    if not folder.exists():
        return None
    cluster = reachable_data(folder, unprivileged_account())
    sockets = socket_folder_of(cluster) if running_pid(cluster) else None
    return _conninfo(sockets, NAME) if sockets else None


def _conninfo(socket_folder: Path, name: str) -> str:
    return make_conninfo(
        host=str(socket_folder), port=5432, user=NAME, dbname=name, connect_timeout=10
    )
