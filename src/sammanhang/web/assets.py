"""Static files: one address for each content, kept by browsers for a year, compressed once.

Files lie in the slice they belong to: `/static/app.css` is `web/static/app.css`, `/static/chart/…` is
`care/chart/static/…`. A template asks `asset("app.css")` and gets the address with the hash of the
content in it, so that a new version is a new address.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

HERE = Path(__file__).parent
FOLDERS = {
    "": HERE / "static",
    "chart": HERE.parent / "care" / "chart" / "static",
    "assessments": HERE.parent / "care" / "assessments" / "static",
    "messages": HERE.parent / "care" / "messages" / "static",
    "consents": HERE.parent / "care" / "consents" / "static",
    "emergency": HERE.parent / "care" / "emergency" / "static",
    "review": HERE.parent / "care" / "review" / "static",
    "worklist": HERE.parent / "care" / "worklist" / "static",
    "apps": HERE.parent / "care" / "apps" / "static",
    "requests": HERE.parent / "care" / "requests" / "static",
    "portal": HERE.parent / "portal" / "static",
    "forms": HERE.parent / "forms" / "static",
}
_SMALLER = {".css", ".js", ".svg", ".txt", ".json"}
mimetypes.add_type("font/woff2", ".woff2")


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file in memory.

    body    its bytes
    packed  the same compressed, where that is smaller
    kind    media type
    digest  what stands in its address
    stamp   when the file was changed, to see a new one while developing
    """

    body: bytes
    packed: bytes | None
    kind: str
    digest: str
    stamp: int


_known: dict[str, Asset] = {}


def find(name: str) -> Asset | None:
    """The file of that name (`app.css`, `vendor/htmx.min.js`, `chart/curves.js`)."""
    known = _known.get(name)
    if known is not None:
        return known
    if "\0" in name:
        return None
    head, _, rest = name.partition("/")
    folder, below = (FOLDERS[head], rest) if head in FOLDERS and rest else (FOLDERS[""], name)
    path = (folder / below).resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        return None
    body = path.read_bytes()
    packed = gzip.compress(body, 9, mtime=0) if path.suffix in _SMALLER else None
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    digest = hashlib.sha256(body).hexdigest()[:12]
    asset = _known[name] = Asset(body, packed, kind, digest, path.stat().st_mtime_ns)
    return asset


def address(name: str) -> str:
    """Where a page finds the file; raises KeyError for one that is not there."""
    asset = find(name)
    if asset is None:
        raise KeyError(f"There is no static file {name}.")
    return f"/static/{name}?v={asset.digest}"


async def static_files(scope: Scope, receive: Receive, send: Send) -> None:
    """Serves what `address` promised; 404 for anything else."""
    request = Request(scope)
    name = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
    asset = find(name) if request.method in ("GET", "HEAD") else None
    if asset is None:
        await Response(status_code=404)(scope, receive, send)
        return
    fresh = request.query_params.get("v") == asset.digest
    headers = {
        "cache-control": "public, max-age=31536000, immutable" if fresh else "no-cache",
        "etag": f'"{asset.digest}"',
        "vary": "accept-encoding",
    }
    if request.headers.get("if-none-match") == headers["etag"]:
        await Response(status_code=304, headers=headers)(scope, receive, send)
        return
    body = asset.body
    if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        body = asset.packed
        headers["content-encoding"] = "gzip"
    await Response(body, headers=headers, media_type=asset.kind)(scope, receive, send)
