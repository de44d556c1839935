"""Settings: one table, read from the environment or from one file.

Each field of `Settings` is a row of the table: name, type, default, one sentence, since which
version. `SAMMANHANG_PORT` in the environment, or `port` in the settings file, sets the field
`port`; the environment wins. The page `docs/reference/settings.md` is printed from this table.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sammanhang.kernel.errors import SammanhangError

PREFIX = "SAMMANHANG_"
FILE_VARIABLE = "SAMMANHANG_SETTINGS"
DEFAULT_FILE = Path("sammanhang.toml")

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


class BadSetting(SammanhangError):
    """A setting has a value it cannot have; the message names it, the value and what is allowed."""

    code = "value"


@dataclass(frozen=True, slots=True)
class Row:
    """What the table says of one setting, beside its name and default."""

    kind: type
    sentence: str
    since: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    shown_default: str | None = None
    secret: bool = False

    def allowed(self) -> str:
        """What a value may be, in words fit for an error message and for the documentation."""
        if self.choices:
            return " or ".join(self.choices)
        if self.kind is bool:
            return "true or false"
        if self.kind in (int, float):
            noun = "a whole number" if self.kind is int else "a number"
            if self.least is not None and self.most is not None:
                return f"{noun} from {self.least:g} to {_plain(self.most)}"
            if self.least is not None:
                return f"{noun}, at least {self.least:g}"
            return noun
        return "a path" if self.kind is Path else "text"


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _row(default: Any, sentence: str, *, since: str = "0.1.0", **limits: Any) -> Any:
    """One row: the default's type is the setting's type."""
    kind = Path if isinstance(default, Path) else type(default)
    return field(
        default=default,
        metadata={"row": Row(kind=kind, sentence=sentence, since=since, **limits)},
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of the system, read once at start; see `Settings.load`."""

    port: int = _row(8000, "The TCP port the server listens on.", least=1, most=65535)
    host: str = _row("127.0.0.1", "The address the server listens on; 0.0.0.0 means every address.")
    base_url: str = _row(
        "",
        "The address people and programs reach the server by, as it stands in links and tokens.",
        shown_default="http://127.0.0.1:PORT",
    )
    data: Path = _row(  # noqa: RUF009 (a row is immutable)
        Path(".data"), "The folder that holds the embedded database and files of the server."
    )
    database_url: str = _row(
        "",
        "Where a PostgreSQL (15 or later) is found, as a URL or a libpq connection string; "
        "empty starts the embedded one.",
        shown_default="empty: embedded",
        secret=True,
    )
    pool_size: int = _row(
        8,
        "Connections for reading a server process holds at most, behind the wall and without; six more write.",
        least=2,
        most=200,
    )
    processes: int = _row(2, "How many server processes share the port.", least=1, most=64)
    residents: int = _row(
        2000, "How many fictional residents the demo region gets.", least=1, most=2_000_000
    )
    seed: int = _row(
        1, "The seed of the demo region: the same seed gives the same region.", least=0
    )
    demo: bool = _row(
        True,
        "Whether `run` builds a fictional region, its people to log in as and a demo API client; "
        "never true where real patients are.",
    )
    language: str = _row(
        "sv", "The language of pages for those who have chosen none.", choices=("sv", "en")
    )
    max_body_bytes: int = _row(
        32 * 1024 * 1024, "The largest request body taken, in bytes.", least=1024
    )
    max_form_bytes: int = _row(
        1024 * 1024, "The largest form of a page taken, in bytes.", least=1024
    )
    max_upload_bytes: int = _row(
        12 * 1024 * 1024,
        "The largest form with files of a page taken, in bytes; one file may be as large.",
        least=1024,
    )
    max_head_bytes: int = _row(
        64 * 1024, "The largest address and headers of a request taken, in bytes.", least=1024
    )
    request_seconds: float = _row(
        60.0,
        "How long a request may take to arrive, to its last byte, before it is cut off.",
        least=0.1,
    )
    trusted_proxies: str = _row(
        "",
        "Addresses or networks of the proxies before the server, comma between; only what these say of "
        "who asks (X-Forwarded-For, X-Forwarded-Proto) is believed.",
        shown_default="empty: none",
    )
    max_bundle_entries: int = _row(
        5000, "The most entries a batch or transaction may hold.", least=1
    )
    max_depth: int = _row(
        100, "How deep JSON sent to the server may be nested.", least=10, most=500
    )
    max_includes: int = _row(
        1000, "The most resources `_include` and `_revinclude` may add to one page.", least=0
    )
    logins_per_minute: int = _row(
        600,
        "How many log-ins may be begun from one network address in a minute, in each process.",
        least=1,
    )
    requests_per_minute: int = _row(
        0,
        "How many requests to the API one client or person may make in a minute, in each process; 0 is no "
        "limit.",
        least=0,
    )
    query_seconds: float = _row(
        10.0, "How long one search may take before it is refused as too costly.", least=0.1
    )
    session_idle_minutes: int = _row(
        30, "Minutes without activity after which a logged-in person must log in again.", least=1
    )
    session_lock_minutes: int = _row(
        10,
        "Minutes without activity after which the screen locks; shorter than the idle end, or it never locks.",
        least=1,
    )
    session_hours: int = _row(
        12, "Hours after log-in when a session ends whatever happens.", least=1, most=24
    )
    oidc_issuer: str = _row(
        "",
        "The OpenID Connect provider people log in through, by its issuer address (https); empty in the demo means "
        "the built-in one. Register BASE_URL/login/callback, /logout/done and /login/backchannel there.",
        shown_default="empty: the built-in one, in the demo only",
    )
    oidc_client_id: str = _row("sammanhang", "What this server is called at that provider.")
    oidc_client_secret: str = _row(
        "", "The server's secret at that provider; empty for a public client.", secret=True
    )
    content_folder: str = _row(
        "",
        "A folder with the region's own versions of content: files named as those under `content/`, each with "
        "the day it begins.",
        shown_default="empty: what is shipped",
    )
    review_seconds: float = _row(
        60.0,
        "How often the server goes through what is new in the trace for log review, in seconds; 0 never "
        "(then run `sammanhang access review --find` as often as the care provider has decided).",
        least=0,
    )
    subscriber_hosts: str = _row(
        "",
        "Hosts that notifications of subscriptions may be sent to, comma between, `*.example.se` for all below; "
        "outside the demo nowhere else, and always by https.",
        shown_default="empty: anywhere in the demo, else nowhere",
    )
    signing_key_days: int = _row(
        30, "Days after which a new key signs tokens; the old one verifies for a day more.", least=1
    )
    log_level: str = _row(
        "info",
        "How much the server says in its log.",
        choices=("debug", "info", "warning", "error"),
    )
    log_format: str = _row(
        "text",
        "How the log is written: lines for people, or a JSON object a line for programs.",
        choices=("text", "json"),
    )

    @classmethod
    def load(
        cls,
        env: Mapping[str, str] | None = None,
        file: Path | None = None,
        *,
        warn: Callable[[str], None] | None = None,
    ) -> Settings:
        """The settings of this process: defaults, then the file, then the environment.

        `file` None means the one `SAMMANHANG_SETTINGS` names, else `./sammanhang.toml` if there
        is one. `warn` is told, one sentence each, of names nobody knows and which name is nearest.
        Raises `BadSetting` for a value a setting cannot have and for a file that cannot be read.
        """
        env = os.environ if env is None else env
        values: dict[str, Any] = {}
        for name, value in _from_file(env, file).items():
            if name in ROWS:
                if warn and ROWS[name].secret and _seen_by_others(env, file):
                    warn(f"The settings file holds {name} and can be read by others; chmod 600 it.")
                values[name] = _convert(name, value, f"{name} in the settings file")
            elif warn:
                warn(_unknown(name, list(ROWS)))
        for variable, text in env.items():
            if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
                continue
            name = variable.removeprefix(PREFIX).lower()
            if name in ROWS:
                values[name] = _convert(name, text, variable)
            elif warn:
                warn(_unknown(variable, [variable_of(n) for n in ROWS] + [FILE_VARIABLE]))
        settings = cls(**values)
        if not settings.base_url:
            host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host
            host = f"[{host}]" if ":" in host else host
            settings = replace(settings, base_url=f"http://{host}:{settings.port}")
        return replace(settings, base_url=settings.base_url.rstrip("/"))

    def as_environment(self) -> dict[str, str]:
        """The same settings as variables, for a process started from this one."""
        texts = {name: getattr(self, name) for name in ROWS}
        return {
            variable_of(name): str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in texts.items()
        }


def _table() -> dict[str, Row]:
    columns: tuple[Field[Any], ...] = fields(Settings)
    return {column.name: column.metadata["row"] for column in columns}


ROWS: dict[str, Row] = _table()
DEFAULTS = Settings()


def variable_of(name: str) -> str:
    """The environment variable that sets the field `name`."""
    return PREFIX + name.upper()


def markdown() -> str:
    """The table of settings as the page `docs/reference/settings.md`."""
    lines = [
        "# Settings",
        "",
        "<!-- Generated by `sammanhang settings --markdown`; do not edit. -->",
        "",
        "A setting is an environment variable, or the same name without `SAMMANHANG_` and in",
        "lower case in a TOML file (`port = 8000`). The file is `sammanhang.toml` in the folder",
        "the program is started from, or the one that `SAMMANHANG_SETTINGS` names. The environment",
        "wins over the file. `sammanhang settings` prints what is in force.",
        "",
        "| Variable | Value | Default | What it sets | Since |",
        "|---|---|---|---|---|",
    ]
    for name, row in ROWS.items():
        default = row.shown_default or _text(getattr(DEFAULTS, name))
        lines.append(
            f"| `{variable_of(name)}` | {row.allowed()} | {default} | {row.sentence} | {row.since} |"
        )
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def _seen_by_others(env: Mapping[str, str], file: Path | None) -> bool:
    """Whether others on this machine may read the settings file."""
    path = file or Path(env.get(FILE_VARIABLE) or DEFAULT_FILE)
    return bool(path.stat().st_mode & 0o077)


def _from_file(env: Mapping[str, str], file: Path | None) -> dict[str, Any]:
    named = file or (Path(env[FILE_VARIABLE]) if env.get(FILE_VARIABLE) else None)
    path = named or DEFAULT_FILE
    if named is None and not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise BadSetting(f"The settings file {path} cannot be read: {fault.strerror}.") from fault
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise BadSetting(f"The settings file {path} is not valid TOML: {fault}.") from fault


def _convert(name: str, value: object, where: str) -> Any:
    """The value in the row's type, or `BadSetting`."""
    row = ROWS[name]
    shown = "the given value" if row.secret else repr(value)
    wrong = BadSetting(f"{where} is {shown}; it must be {row.allowed()}.")
    result: Any
    if row.kind is bool:
        text = str(value).strip().lower()
        if text not in _TRUE | _FALSE:
            raise wrong
        return text in _TRUE
    if isinstance(value, bool | list | dict):
        raise wrong
    if row.kind in (int, float):
        try:
            result = row.kind(str(value).strip().replace("_", ""))
        except ValueError:
            raise wrong from None
        if not (row.least is None or result >= row.least) or not (
            row.most is None or result <= row.most
        ):
            raise wrong
        return result
    text = str(value).strip()
    if row.choices:
        text = text.lower()
        if text not in row.choices:
            raise wrong
    if row.kind is Path:
        if not text:
            raise wrong
        return Path(text).expanduser()
    return text


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{name} is not a setting and has no effect.{hint}"
