"""How fast is the chart of a patient with 500 resources, and how many queries does it ask?"""

from __future__ import annotations

import asyncio
from typing import Any

from _bench import Bench, Figure
from _drive import Requests, drive
from _staff import PATIENT, chart_reader, region

PAGES = ("", "/timeline", "/measurements", "/results", "/medicines")


def run(bench: Bench) -> list[Figure]:
    """Chart pages of a patient with 500 resources, as a nurse with the patient in care."""
    dsn = region(bench)
    figures = []
    with bench.server(dsn) as server:
        cookie = chart_reader(dsn, server.url)
        for page in PAGES:
            path = f"/patients/{PATIENT}{page}"
            requests = Requests([("GET", path, b"")], {"Cookie": cookie})
            result = drive(server.url, requests, bench.seconds, concurrency=2)
            asked, size = asyncio.run(_queries(dsn, server.url, cookie, path))
            note = f"{asked} queries, {size / 1000:.0f} KB of HTML; two clients"
            aim = "p95 ≤ 40 ms, ≤ 12 queries"
            figures.append(
                result.figure("chart_page", f"chart{page or ' overview'}", aim=aim, note=note)
            )
    return figures


async def _queries(dsn: str, url: str, cookie: str, path: str) -> tuple[int, int]:
    """(statements sent to the database for one page, bytes of the page), in this process."""
    from dataclasses import replace

    import httpx
    import psycopg

    from sammanhang.access.services import Services
    from sammanhang.kernel.settings import Settings
    from sammanhang.store.connection import Connection
    from sammanhang.web.app import create_app

    services = Services.make(replace(Settings.load(), base_url=url), dsn)
    await services.open()
    seen: list[str] = []
    execute, fetch = psycopg.AsyncCursor.execute, Connection.fetch

    async def counted(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        text = str(query)
        if "audit." not in text and "set_config" not in text:  # not the trace, nor the wall's scope
            seen.append(text)
        return await execute(self, query, *args, **kwargs)

    async def counted_too(self: Any, sql: str, *args: Any, **kwargs: Any) -> Any:
        if "audit." not in sql and "set_config" not in sql:
            seen.append(sql)
        return await fetch(self, sql, *args, **kwargs)

    try:
        app = create_app(services)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=url) as http:
            await http.get(path, headers={"cookie": cookie})  # names and tokens known from then on
            psycopg.AsyncCursor.execute = counted  # type: ignore[method-assign, assignment]
            Connection.fetch = counted_too  # type: ignore[method-assign]
            answer = await http.get(path, headers={"cookie": cookie})
        assert answer.status_code == 200, (answer.status_code, answer.text[:300])
        return len(seen), len(answer.content)
    finally:
        psycopg.AsyncCursor.execute = execute  # type: ignore[method-assign]
        Connection.fetch = fetch  # type: ignore[method-assign]
        await services.close()


if __name__ == "__main__":
    from _bench import main

    raise SystemExit(main({"chart_page": run}))
