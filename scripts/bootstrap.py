"""Set up what `make run` and `make test` need. Standard library only: it runs before anything is
installed.

    python3.11 scripts/bootstrap.py           what the server needs
    python3.11 scripts/bootstrap.py --dev     what tests and tools need as well

Each step leaves a stamp with a hash of what it was made from, and is skipped while the hash is
the same.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMPS = VENV / "stamps"
BIN = VENV / "bin"
PYTHON = BIN / "python"
VENDOR = ROOT / "src" / "sammanhang" / "web" / "static" / "vendor"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# What is copied from node_modules for the server to hand out: file, and name it gets.
ASSETS = {
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "htmx.org/LICENSE": "LICENSE-htmx.txt",
    "uplot/dist/uPlot.iife.min.js": "uPlot.iife.min.js",
    "uplot/dist/uPlot.min.css": "uPlot.min.css",
    "uplot/LICENSE": "LICENSE-uPlot.txt",
    "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2": "inter-latin.woff2",
    "@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2": "inter-latin-ext.woff2",
    "@fontsource-variable/inter/LICENSE": "LICENSE-inter.txt",
}


def main(arguments: list[str]) -> None:
    """Do the steps whose inputs have changed; ends the program with one sentence on failure."""
    if sys.version_info < (3, 11):  # noqa: UP036 (runs before anything checked it)
        fail(f"Python 3.11 or later is needed; this is {sys.version.split()[0]}.")
    dev = "--dev" in arguments
    lock = ROOT / "requirements" / ("dev.txt" if dev else "base.txt")
    # What is set up for development has everything the server needs.
    if dev or not is_done("python-dev", python_inputs(ROOT / "requirements" / "dev.txt")):
        name = "python-dev" if dev else "python"
        step(name, python_inputs(lock), f"Installing Python packages ({lock.name})", install(lock))
    step("path", [Path(__file__)], "Making the program available", make_program)
    if dev or not is_done("npm-dev", npm_inputs()):
        name = "npm-dev" if dev else "npm"
        step(name, npm_inputs(), "Installing front-end assets", lambda: install_npm(dev=dev))
    if not all((VENDOR / name).is_file() for name in ASSETS.values()):
        (STAMPS / "assets").unlink(missing_ok=True)
    step("assets", [*npm_inputs(), Path(__file__)], "Copying front-end assets", copy_assets)
    if dev:
        install_browser()


def python_inputs(lock: Path) -> list[Path]:
    return [ROOT / "requirements" / "bootstrap.txt", lock]


def npm_inputs() -> list[Path]:
    return [ROOT / "package.json", ROOT / "package-lock.json"]


def step(name: str, inputs: Iterable[Path], says: str, work: Callable[[], None]) -> None:
    """Do `work` unless its stamp says it was done from these very inputs."""
    inputs = list(inputs)
    if is_done(name, inputs):
        return
    print(f"{says} …", flush=True)
    started = time.monotonic()
    work()
    STAMPS.mkdir(parents=True, exist_ok=True)
    (STAMPS / name).write_text(digest(inputs), encoding="ascii")
    print(f"{says}: done in {time.monotonic() - started:.1f} s.", flush=True)


def is_done(name: str, inputs: Iterable[Path]) -> bool:
    stamp = STAMPS / name
    return (
        PYTHON.exists() and stamp.is_file() and stamp.read_text(encoding="ascii") == digest(inputs)
    )


def digest(inputs: Iterable[Path]) -> str:
    """A hash of the inputs' contents and of the Python they are installed for."""
    summary = hashlib.sha256(f"{sys.version_info[:2]} {VENV}".encode())
    for path in inputs:
        summary.update(path.read_bytes() if path.exists() else b"absent")
    return summary.hexdigest()


def install(lock: Path) -> Callable[[], None]:
    """The work of installing a lock into the virtual environment, with uv or else with pip."""

    def work() -> None:
        make_environment()
        if install_uv():
            command = [*uv_command(), "pip", "install", "--require-hashes", "-r", str(lock)]
            # Its bars are for a person; in a log the list of packages would drown the rest.
            command += [] if sys.stdout.isatty() else ["--quiet"]
            if succeeds(command):
                return
            print("uv could not install them; trying pip.", flush=True)
        if not succeeds(pip("install", "--quiet", "--require-hashes", "-r", str(lock))):
            fail(
                "The Python packages could not be installed; what pip said stands above. "
                "Check the network, then run this again."
            )

    return work


def make_environment() -> None:
    """The virtual environment, made anew if the Python it was made from is gone."""
    if PYTHON.exists() and succeeds([str(PYTHON), "-c", "import pip"], quiet=True):
        return
    if not succeeds([sys.executable, "-m", "venv", "--clear", str(VENV)]):
        fail(
            "The virtual environment could not be made; on Debian and Ubuntu install the "
            "package python3-venv, then run this again."
        )


def install_uv() -> bool:
    """uv, from its own hashed lock; False when it cannot be had, and pip must do."""
    bootstrap = ROOT / "requirements" / "bootstrap.txt"
    return succeeds(pip("install", "--quiet", "--require-hashes", "-r", str(bootstrap)))


def pip(*arguments: str) -> list[str]:
    return [str(PYTHON), "-m", "pip", "--disable-pip-version-check", *arguments]


def uv_command() -> list[str]:
    """uv of the virtual environment."""
    return [str(PYTHON), "-m", "uv"]


def npm_command() -> list[str]:
    """npm of this machine, or the one that a Python wheel brings."""
    found = shutil.which("npm")
    if found and shutil.which("node"):
        return [found]
    if not (BIN / "npm").exists():
        print("There is no npm on this machine: installing one from a Python wheel …", flush=True)
        lock = str(ROOT / "requirements" / "node.txt")
        uv_installed = succeeds([*uv_command(), "pip", "install", "--require-hashes", "-r", lock])
        if not uv_installed and not succeeds(pip("install", "--require-hashes", "-r", lock)):
            fail("Node.js could not be installed; install npm, then run this again.")
    return [str(BIN / "npm")]


def install_npm(*, dev: bool) -> None:
    """node_modules as package-lock.json says; no package's own script is run."""
    command = [*npm_command(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    command += ["--loglevel=error"] + ([] if dev else ["--omit=dev"])
    # One more try: a registry that answers slowly once usually does not twice.
    if not succeeds(command) and not succeeds(command):
        fail("The front-end assets could not be installed; what npm said stands above.")


def copy_assets() -> None:
    VENDOR.mkdir(parents=True, exist_ok=True)
    for source, name in ASSETS.items():
        shutil.copyfile(ROOT / "node_modules" / source, VENDOR / name)


def make_program() -> None:
    """`sammanhang` in the environment's bin folder, and the sources on its path."""
    packages = next((VENV / "lib").glob("python3*/site-packages"))
    (packages / "sammanhang.pth").write_text(f"{ROOT / 'src'}\n", encoding="utf-8")
    program = BIN / "sammanhang"
    # guarded: processes that multiprocessing spawns import this file anew
    lines = [
        f"#!{PYTHON}",
        "from sammanhang.cli import main",
        "",
        'if __name__ == "__main__":',
        "    main()",
        "",
    ]
    program.write_text("\n".join(lines), encoding="utf-8")
    program.chmod(0o755)


def install_browser() -> None:
    """Chromium from the distribution, for the tests that drive a browser."""
    if any(shutil.which(name) for name in BROWSERS):
        return
    if not shutil.which("apt-get"):
        print("No Chromium found: install it, or the browser tests will fail.", flush=True)
        return
    print("Installing Chromium …", flush=True)
    become = [] if os.geteuid() == 0 else ["sudo", "-n"]
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    packages = ("chromium", "fonts-dejavu-core")
    get = [*become, "apt-get", "-q", "-y"]
    succeeds([*get, "update"], extra=environment)
    install_command = [*get, "install", "--no-install-recommends", *packages]
    if not succeeds(install_command, extra=environment):
        print("Chromium could not be installed: the browser tests will fail.", flush=True)


def tool_environment() -> dict[str, str]:
    """The environment for uv and npm: the machine's certificates and pip's index serve uv too."""
    environment = {"VIRTUAL_ENV": str(VENV), "UV_SYSTEM_CERTS": "true", **os.environ}
    # The wheel's node is found by npm's own scripts only when it is on the path.
    environment["PATH"] = f"{BIN}{os.pathsep}{environment.get('PATH', '')}"
    if os.environ.get("PIP_CERT"):
        environment.setdefault("SSL_CERT_FILE", os.environ["PIP_CERT"])
    if os.environ.get("PIP_INDEX_URL"):
        environment.setdefault("UV_DEFAULT_INDEX", os.environ["PIP_INDEX_URL"])
    return environment


def succeeds(
    command: list[str], *, quiet: bool = False, extra: dict[str, str] | None = None
) -> bool:
    """Whether a command could be run and ended well; what it says goes to the terminal."""
    output = subprocess.DEVNULL if quiet else None
    try:
        ended = subprocess.run(
            command,
            cwd=ROOT,
            env=tool_environment() | (extra or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    except OSError as fault:
        print(f"{command[0]}: {fault.strerror}", file=sys.stderr)
        return False
    return ended.returncode == 0


def fail(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
