"""A resident's own page, in plain words."""


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


async def test_a_resident_opens_no_page_of_staff(as_):
    svea = await as_("Svea Andersson", kind="resident")
    for address in ("/patients", "/patients/svea-andersson", "/patients/bertil-holm", "/command"):
        page = await svea.get(address)
        assert page.status_code == 404, address
        assert "Bertil" not in page.text


async def test_staff_have_no_residents_page(as_):
    amira = await as_("Amira Haddad", "Centrum")
    assert (await amira.get("/me")).status_code == 404
