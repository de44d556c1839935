"""Files with a form: taken when their content is of a kind that cannot run, and kept in the patient's record."""

from __future__ import annotations

import io

import pytest
from starlette.datastructures import UploadFile

from sammanhang.access.actor import Actor
from sammanhang.fhir.indexing import self_hash
from sammanhang.forms import drafts, view
from sammanhang.forms.files import NoSuchFile, held, kind_of
from sammanhang.forms.tests.making import HL7, PAGE, form, item

PDF = b"%PDF-1.7\nhej"


@pytest.fixture
def town(own_town):
    """These tests write, so they have a region of their own."""
    return own_town


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (PDF, "application/pdf"), (b"\x89PNG\r\n\x1a\n...", "image/png"), (b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("Åsas anteckning\n".encode(), "text/plain"), (b"<html><script>", ""), (b"  <svg onload=x>", ""),
        (b"MZ\x90\x00", ""), (b"PK\x03\x04", ""), (b"\x00\x01\x02", ""),
    ],
)  # fmt: skip
def test_the_content_says_what_it_is(body: bytes, kind: str) -> None:
    assert kind_of(body) == kind


async def nurse(services, patient="svea-andersson"):
    from sammanhang.access.staff import assignment_of
    from sammanhang.region.staff import named_people

    person = named_people()["amira-haddad"]
    found = await assignment_of(services.database, "amira-haddad", person.assignments[0].id)
    assert found is not None
    actor = Actor("staff", "Practitioner/amira-haddad", "Amira Haddad", 3, found.assignment)
    return await services.doors.open_record(actor, patient)


async def test_a_file_is_stored_with_the_draft_and_read_in_the_record_alone(services):
    record = await nurse(services)
    f = form(item("b", "attachment", repeats=True), item("t"))
    draft = await drafts.open(record, f)
    upload = UploadFile(io.BytesIO(PDF), filename="C:\\Mina\\remiss.pdf", size=len(PDF))
    page = UploadFile(io.BytesIO(b"<html>"), filename="x.html", size=6)
    saved = await drafts.save(
        record, draft, [("form.t", "hej")], files=[("form.b.file", upload), ("form.b.file", page)]
    )
    attached = saved.response.item[0].answer[0].valueAttachment
    assert attached.title == "remiss.pdf" and attached.contentType == "application/pdf"
    assert [f.sv for f in drafts.faults(saved)] == [
        "”x.html” togs inte emot. Bifoga PDF, bild eller ren text."
    ]
    id = attached.url.removeprefix("Binary/")
    assert (await held(record, id)).body == PDF
    link = f'<a href="/patients/svea-andersson/files/{id}">remiss.pdf</a>'
    assert link in PAGE.render(page=view(f, saved.response))
    with pytest.raises(NoSuchFile):
        await held(record, "finns-inte")
    async with services.database.reading(record.scope) as connection:
        (row,) = await connection.fetch(
            "SELECT patient FROM store.document WHERE self = %s", (self_hash("Binary", id),)
        )
    assert row[0] == record.patient_self

    again = await drafts.open(
        record, f
    )  # still there, and taken away when its box is no longer ticked
    kept = await drafts.save(record, again, [("form.t", "hej"), ("form.b", attached.url)])
    assert kept.response.item[0].answer[0].valueAttachment.url == attached.url
    gone = await drafts.save(record, kept, [("form.t", "hej")])
    assert [i.linkId for i in gone.response.item] == ["t"]


async def test_a_question_says_which_files_it_takes(services):
    record = await nurse(services)
    more = [{"url": HL7 + "mimeType", "valueCode": "image/png"}]
    f = form(item("b", "attachment", extension=more), url="http://e.se/png")
    upload = UploadFile(io.BytesIO(PDF), filename="remiss.pdf", size=len(PDF))
    saved = await drafts.save(
        record, await drafts.open(record, f), [], files=[("form.b.file", upload)]
    )
    assert [f.sv for f in drafts.faults(saved)] == ["”remiss.pdf” ska vara av typen image/png."]


async def test_two_who_write_in_different_places_both_stay(services):
    record = await nurse(services)
    f = form(item("a"), item("b"), url="http://e.se/two")
    first = await drafts.save(
        record, await drafts.open(record, f), [("form.a", "ett"), ("form.b", "två")]
    )
    assert first.stored is not None
    shown = ("form.~version", str(first.stored.version))
    await drafts.save(
        record, await drafts.open(record, f), [("form.a", "ETT"), ("form.b", "två"), shown]
    )
    both = await drafts.save(
        record, await drafts.open(record, f), [("form.a", "ett"), ("form.b", "TVÅ"), shown]
    )
    assert [i.answer[0].valueString for i in both.response.item] == ["ETT", "TVÅ"]


async def test_what_has_not_changed_is_not_stored_anew(services):
    record = await nurse(services)
    f = form(item("a"), url="http://e.se/same")
    first = await drafts.save(record, await drafts.open(record, f), [("form.a", "ett")])
    again = await drafts.save(record, await drafts.open(record, f), [("form.a", "ett")])
    assert again.stored is not None and first.stored is not None
    assert again.stored.version == first.stored.version == 1
    await drafts.discard(record, again)
    assert (await drafts.open(record, f)).stored is None


async def test_a_draft_is_about_one_thing(services):
    record = await nurse(services)
    f = form(item("a"), url="http://e.se/about")
    one = await drafts.save(
        record, await drafts.open(record, f, "ServiceRequest/x"), [("form.a", "x")]
    )
    assert one.response.basedOn[0].reference == "ServiceRequest/x"
    assert (await drafts.open(record, f)).stored is None
    assert (await drafts.open(record, f, "ServiceRequest/y")).stored is None
    assert (await drafts.open(record, f, "ServiceRequest/x")).stored is not None
    other = await drafts.save(record, await drafts.open(record, f, "Task/z"), [("form.a", "z")])
    assert drafts.about_of(other.response) == "Task/z"
