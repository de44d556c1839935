"""`sammanhang access …`: what concerns who may see what."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any


def preview(dsn: str, settings: Any, name: str, path: Path, days: int, most: int) -> str:
    """The report of `sammanhang access preview` as text. Raises `BadContent`."""
    from sammanhang.access.preview import preview as look
    from sammanhang.access.services import Services
    from sammanhang.kernel.content import fitting

    changed = fitting(path, name)

    async def run() -> Any:
        services = Services.make(settings, dsn)
        await services.open()
        try:
            return await look(services.doors, {name: changed}, days=days, most=most)
        finally:
            await services.close()

    found = asyncio.run(run())
    about = "" if found.share == 1 else f", about {found.share:.1%} of the trace"
    lines = [
        f"{found.accesses} accesses of the last {days} days{about}, {found.pairs} people and patients."
    ]
    words = {"closed": "refused instead of permitted", "opened": "permitted instead of refused",
             "more": "more seen", "less": "less seen"}  # fmt: skip
    for line in found.lines:
        rules = line.before if line.before == line.after else f"{line.before} -> {line.after}"
        lines.append(f"  {line.times:8}  {words[line.kind]:30}  {rules:10}  {line.role}")
    if found.gone:
        lines.append(f"{found.gone} cannot be decided again: somebody is no longer there.")
    lines.append(
        f"{found.changed} of them would have been different."
        if found.changed
        else "None of them would have been different."
    )
    return "\n".join(lines)
