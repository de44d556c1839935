"""One's own sessions: seen, and ended from elsewhere."""

from __future__ import annotations

import httpx
import pytest

from sammanhang.access.sessions_own import browser as words
from sammanhang.web.app import create_app
from sammanhang.web.testing import BASE, _log_in


async def other(services) -> httpx.AsyncClient:
    """Another browser where the same nurse has logged in."""
    transport = httpx.ASGITransport(app=create_app(services), raise_app_exceptions=False)
    client = httpx.AsyncClient(
        transport=transport, base_url=BASE, follow_redirects=True,
        headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
    )  # fmt: skip
    await _log_in(client, "Karin Ek", "", "")
    return client


@pytest.mark.asvs("v5.0.0-7.5.2", "v5.0.0-7.4.1")
async def test_a_session_elsewhere_is_seen_and_ended(as_, services):
    karin = await as_("Karin Ek")
    away, further = await other(services), await other(services)
    page = await karin.get("/sessions")
    assert "Firefox, Linux" in page.text
    assert page.text.count('name="session"') >= 3  # two others, and all of them
    assert (await away.get("/")).url.path == "/"
    one = page.text.split('name="session" value="')[1].split('"')[0]
    page = await karin.post("/sessions", {"session": one}, page)
    paths = sorted([(await away.get("/")).url.path, (await further.get("/")).url.path])
    assert paths[0] == "/" and paths[1] != "/"
    page = await karin.post("/sessions", {"session": "others"}, page)
    for client in (away, further):
        assert (await client.get("/")).url.path != "/"
        await client.aclose()
    page = await karin.get("/sessions")
    assert page.status_code == 200
    assert 'value="others"' not in page.text


@pytest.mark.asvs("v5.0.0-8.2.2")
async def test_nobody_ends_the_sessions_of_others(as_, services):
    first, second = await other(services), await other(services)
    listed = (await first.get("/sessions")).text.split('name="session" value="')[1].split('"')[0]
    amira = await as_("Amira Haddad", "Centrum")
    own = await amira.get("/sessions")
    await amira.post("/sessions", {"session": listed}, own)
    await amira.post("/sessions", {"session": "others"}, own)
    for client in (first, second):
        assert (await client.get("/")).url.path == "/"
        await client.aclose()


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36 Edg/142.0", "Edge, Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile Safari/604.1", "Safari, iPhone"),
        ("curl/8.0", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_browser_in_words(agent, said):
    assert words(agent) == said
