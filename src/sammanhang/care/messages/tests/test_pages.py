"""Staff write from the record and see whether it is read; the resident reads and answers on their own pages."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.slow  # the whole suite has it; `make check` stays quick

ROOT = "/patients/svea-andersson"
FIELDS = {
    "topic": "Ditt besök",
    "text": "Ta med <listan>",
    "answerable": "yes",
    "follow": "yes",
    "about": "",
}


def place(page) -> str:
    return str(page.url.path)


async def test_the_whole_way_over_the_pages(as_):
    karin = await as_("Karin Ek")
    chart = await karin.get(ROOT)
    assert f'href="{ROOT}/messages" data-write="m"' in chart.text
    page = await karin.get(f"{ROOT}/messages")
    assert karin.queries <= 12 and "Läses av patienten" in page.text
    sent = await karin.post(f"{ROOT}/messages", {**FIELDS, "topic": "Måndagens besök"}, page)
    address = place(sent)
    assert re.fullmatch(rf"{ROOT}/messages/[0-9a-f-]{{36}}", address)
    assert "Meddelandet är skickat." in sent.text and "Ta med &lt;listan&gt;" in sent.text
    assert "Inte läst än. Kommer tillbaka till Karin Ek" in sent.text
    id = address.rpartition("/")[2]

    svea = await as_("Svea Andersson", kind="resident")
    start = await svea.get("/me")
    assert svea.queries <= 12
    assert f'href="/me/messages/{id}"' in start.text and "Nytt meddelande" in start.text
    read = await svea.get(f"/me/messages/{id}")
    assert svea.queries <= 12 and "Ta med &lt;listan&gt;" in read.text
    assert "Skriv inte här om det är bråttom" in read.text
    empty = await svea.post(f"/me/messages/{id}", {"text": " "}, read)
    assert empty.status_code == 400 and "Skriv något först." in empty.text
    done = await svea.post(f"/me/messages/{id}", {"text": "Jag tar med den"}, read)
    assert "Ditt svar är skickat" in done.text and "svarar senast" in done.text
    start = await svea.get("/me")
    assert "Nytt meddelande" not in start.text and 'href="/me/messages"' in start.text
    assert f"/me/messages/{id}" in (await svea.get("/me/messages")).text

    karin = await as_("Karin Ek")
    work = await karin.get("/work?list=mine")
    assert "Måndagens besök" in work.text and "från Svea Andersson" in work.text
    page = await karin.get(address)
    assert karin.queries <= 12 and "Läst " in page.text and "Jag tar med den" in page.text
    assert "Att svara på senast" in page.text
    page = await karin.post(address, {"text": "Bra"}, page)
    assert "Svaret är skickat." in page.text and "Att svara på senast" not in page.text
    assert "Måndagens besök" not in (await karin.get("/work?list=mine")).text
    assert "Måndagens besök" in (await karin.get(f"{ROOT}/messages")).text

    svea = await as_("Svea Andersson", kind="resident")
    log = await svea.get("/me/log")
    assert "skrev ett meddelande till dig" in log.text


async def test_what_is_wrong_is_said_with_all_that_was_written(as_):
    karin = await as_("Karin Ek")
    page = await karin.get(f"{ROOT}/messages")
    wrong = await karin.post(f"{ROOT}/messages", {**FIELDS, "topic": "", "follow": ""}, page)
    assert wrong.status_code == 400 and "Skriv vad det handlar om." in wrong.text
    assert "Ta med &lt;listan&gt;" in wrong.text
    assert re.search(r'name="answerable" value="yes" checked', wrong.text)
    assert not re.search(r'name="follow" value="yes" checked', wrong.text)
    gone = await karin.get(f"{ROOT}/messages/finns-inte")
    assert gone.status_code == 404 and "Meddelandet finns inte." in gone.text


async def test_a_request_that_is_not_there_is_not_written_about(as_):
    karin = await as_("Karin Ek")
    page = await karin.get(f"{ROOT}/messages?about=finns-inte")
    assert page.status_code == 200 and "tillsammans med" not in page.text
    sent = await karin.post(
        f"{ROOT}/messages", {**FIELDS, "about": "finns-inte", "joint": "yes"}, page
    )
    assert "Meddelandet är skickat." in sent.text and "/requests/" not in sent.text


async def test_one_does_not_read_what_was_written_to_another(as_):
    karin = await as_("Karin Ek")
    page = await karin.get(f"{ROOT}/messages")
    id = place(await karin.post(f"{ROOT}/messages", FIELDS, page)).rpartition("/")[2]
    jonas = await as_("Jonas Lindgren", kind="resident")
    for address in (f"/me/messages/{id}", f"/me/family/greta-lindgren/messages/{id}"):
        seen = await jonas.get(address)
        assert seen.status_code == 404 and "Ta med" not in seen.text
        assert (
            await jonas.post(address, {"text": "Hej"}, await jonas.get("/me"))
        ).status_code == 404
