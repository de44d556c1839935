"""Test fixtures on a real PostgreSQL; a pytest plugin loaded for every test of the project.

One embedded cluster serves a whole test run, shared by its worker processes; it starts when the
first test asks for it. Each worker process gets a database of its own, copied from a migrated
template. The cluster does not wait for the disk: a test that pulls the plug asks for
`own_database`, which does.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from sammanhang.operate.database import EmbeddedDatabase
from sammanhang.operate.postmaster import is_alive, running_pid

_PREFIX = "sammanhang-test-"
_TEMPLATE = "migrated"
# Not named SAMMANHANG_…: it is no setting, and programs under test would warn of it.
_RUN = "PYTEST_SAMMANHANG_RUN"
_counter = itertools.count(1)

# The same examples in every run: a suite that must pass before landing may not depend on luck.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.load_profile("steady")


def pytest_configure(config: pytest.Config) -> None:
    """Name the run's folder in the process that steers it; workers inherit the name."""
    sources = str(Path(__file__).parents[2])
    # Programs that tests start find the same sources.
    if sources not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, [sources, os.environ.get("PYTHONPATH")])
        )
    if not hasattr(config, "workerinput"):
        os.environ[_RUN] = f"{tempfile.gettempdir()}/{_PREFIX}{os.getpid()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Journeys last: a browser's event loop runs in this thread from the first of them on, and no other can then."""
    items.sort(key=lambda item: item.get_closest_marker("journey") is not None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the cluster when the run ends, and those of runs that were killed."""
    if hasattr(config, "workerinput"):
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = int(folder.name.removeprefix(_PREFIX))
        if owner == os.getpid() or not is_alive(owner):
            _remove_cluster(folder)


@pytest.fixture(scope="session")
def cluster() -> str:
    """The connection string of the run's cluster: its superuser, its database `postgres`."""
    with _run_lock() as folder:
        written = folder / "dsn"
        if not written.exists():
            server = EmbeddedDatabase(folder, durable=False, dies_with_parent=False)
            server.start()
            written.write_text(server.dsn("postgres"), encoding="utf-8")
            server.leave_running()
        return written.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def template(cluster: str) -> str:
    """The name of the migrated database that others are copied from."""
    from sammanhang.store.migrate import migrate

    with _run_lock() as folder:
        if not (folder / "migrated").exists():
            with psycopg.connect(cluster, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE IF EXISTS {_TEMPLATE}")
                connection.execute(f"CREATE DATABASE {_TEMPLATE}")
            migrate(make_conninfo(cluster, dbname=_TEMPLATE))
            (folder / "migrated").touch()
    return _TEMPLATE


@pytest.fixture(scope="session")
def database(cluster: str, template: str) -> Iterator[str]:
    """The connection string of this worker's migrated database, shared by all its tests."""
    yield from _copy(cluster, template)


@pytest.fixture
def empty_database(cluster: str, template: str) -> Iterator[str]:
    """The connection string of a migrated database without data, for one test alone."""
    yield from _copy(cluster, template)


@pytest.fixture
def blank_database(cluster: str) -> Iterator[str]:
    """The connection string of a database without tables, for one test alone."""
    yield from _copy(cluster, "template1")


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """A folder that also the database's account can reach (pytest's own are private)."""
    folder = Path(tempfile.mkdtemp(prefix="sammanhang-data-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_database(data_folder: Path) -> Iterator[EmbeddedDatabase]:
    """A durable embedded database of its own, started, not migrated; may be killed."""
    with EmbeddedDatabase(data_folder) as started:
        yield started


def _copy(cluster: str, template: str) -> Iterator[str]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    name = f"test_{worker}_{next(_counter)}"
    new, old = sql.Identifier(name), sql.Identifier(template)
    with psycopg.connect(cluster, autocommit=True) as connection:
        # Copying files is quickest where nothing waits for the disk.
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        connection.execute(create.format(new, old))
    yield make_conninfo(cluster, dbname=name)
    with (
        contextlib.suppress(psycopg.Error),
        psycopg.connect(cluster, autocommit=True) as connection,
    ):
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(new))


@contextlib.contextmanager
def _run_lock() -> Iterator[Path]:
    """The run's folder, one worker at a time."""
    folder = Path(os.environ[_RUN])
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    with (folder / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _remove_cluster(folder: Path) -> None:
    pid = running_pid(folder / "postgres")
    if pid:
        os.kill(pid, signal.SIGQUIT)
        patience = time.monotonic() + 10
        while is_alive(pid) and time.monotonic() < patience:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.01)
    shutil.rmtree(folder, ignore_errors=True)
