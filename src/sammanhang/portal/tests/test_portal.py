"""A resident's own page, in plain words."""

import pytest


async def test_svea_sees_what_happens_next_and_her_own_record(as_):
    svea = await as_("Svea Andersson", kind="resident")
    page = await svea.get("/")
    assert page.status_code == 200
    assert page.url.path == "/me"
    for words in (
        "Hej Svea",
        "Nästa steg",
        "kl. 10:00",
        "Apixaban",
        "Mina provsvar",
        "Högre än det vanliga",
    ):
        assert words in page.text, words
    assert svea.queries <= 12


@pytest.mark.asvs("v5.0.0-8.2.1")
async def test_a_resident_opens_no_page_of_staff(as_):
    svea = await as_("Svea Andersson", kind="resident")
    for address in ("/patients", "/patients/svea-andersson", "/patients/bertil-holm", "/command"):
        page = await svea.get(address)
        assert page.status_code == 404, address
        assert "Bertil" not in page.text


@pytest.mark.asvs("v5.0.0-8.2.1")
async def test_staff_have_no_residents_page(as_):
    amira = await as_("Amira Haddad", "Centrum")
    assert (await amira.get("/me")).status_code == 404


@pytest.mark.asvs("v5.0.0-8.2.2")
async def test_a_father_reads_his_childs_record_and_nobody_elses(as_):
    jonas = await as_("Jonas Lindgren", kind="resident")
    page = await jonas.get("/me")
    assert "/me/family/greta-lindgren" in page.text
    assert jonas.queries <= 12
    child = await jonas.get("/me/family/greta-lindgren")
    assert child.status_code == 200
    assert "Journal för Greta" in child.text
    assert "Mina barn" not in child.text
    for stranger in ("svea-andersson", "nobody-at-all"):
        refused = await jonas.get(f"/me/family/{stranger}")
        assert refused.status_code == 403
        assert "R22" in refused.text
        assert "Svea" not in refused.text
        assert "Byt uppdrag" not in refused.text


async def test_who_has_no_child_is_offered_none(as_):
    svea = await as_("Svea Andersson", kind="resident")
    assert "/me/family/" not in (await svea.get("/me")).text
