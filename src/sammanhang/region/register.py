"""A resident as FHIR: Patient and RelatedPerson, after HL7 Sweden's base profiles."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from sammanhang.fhir.r4 import (
    Address,
    CodeableConcept,
    ContactPoint,
    Extension,
    HumanName,
    Identifier,
    Meta,
    Patient,
    Period,
    Reference,
    RelatedPerson,
)
from sammanhang.fhir.r4.patient import PatientCommunication, PatientContact

from .codes import (
    HL7,
    SE_ADDRESS,
    SE_MIDDLE_NAME,
    SE_OWN_FAMILY,
    SE_PATIENT,
    SEKRETESSMARKERING,
    SKYDDAD_FOLKBOKFORING,
    SNOMED,
    TEST_MARKS,
    concept,
)
from .content import table
from .days import age_at, day
from .people import Resident

ROLE_CODE = HL7 + "v3-RoleCode"
LANGUAGE = {
    "arabic": ("ar", "arabiska"), "balkan": ("bs", "bosniska"), "finnish": ("fi", "finska"),
    "persian": ("fa", "persiska"), "somali": ("so", "somaliska"), "polish": ("pl", "polska"),
    "latin": ("es", "spanska"),
}  # fmt: skip
KIN = {
    "guardian-female": ("MTH", "Vårdnadshavare (mor)"), "guardian-male": ("FTH", "Vårdnadshavare (far)"),
    "partner": ("DOMPART", "Sambo"), "husband": ("HUSB", "Make"), "wife": ("WIFE", "Maka"),
    "son": ("SONC", "Son"), "daughter": ("DAUC", "Dotter"), "sister": ("SIS", "Syster"),
    "brother": ("BRO", "Bror"), "friend": ("FRND", "Vän"),
}  # fmt: skip
_GUARDIAN = concept(ROLE_CODE, "GUARD", "Vårdnadshavare")
CIVIL_REGISTRATION, SPECIAL_POSTAL = "63381000052101", "63391000052104"
_ADDRESS_TEXT = {CIVIL_REGISTRATION: "folkbokföringsadress", SPECIAL_POSTAL: "särskild postadress"}


@lru_cache(maxsize=4)
def _address_kind(code: str) -> list[Extension]:
    return [
        Extension(url=SE_ADDRESS, valueCodeableConcept=concept(SNOMED, code, _ADDRESS_TEXT[code]))
    ]


_MARITAL = {
    code: concept(HL7 + "v3-MaritalStatus", code, text)
    for code, text in (("M", "Gift"), ("U", "Ogift"), ("W", "Änka/änkling"), ("D", "Skild"))
}


def kin(code: str) -> CodeableConcept:
    """A relationship to the patient, from `KIN`."""
    return concept(ROLE_CODE, *KIN[code])


def human_name(who: Resident) -> HumanName:
    """The registered name; a middle name stands in HL7 Sweden's extension and before the family name."""
    family, extension = who.family, None
    if who.middle:
        family = f"{who.middle} {who.family}"
        extension = [
            Extension(url=SE_MIDDLE_NAME, valueString=who.middle),
            Extension(url=SE_OWN_FAMILY, valueString=who.family),
        ]
    return HumanName(
        use="official",
        text=f"{who.given} {family}",
        family=family,
        given=[who.given],
        extension=extension,
    )


def address(who: Resident) -> Address | None:
    """Where the register says the person lives. For a protected identity: nothing that tells where."""
    if who.protected == "sekretessmarkering":
        return None
    if who.protected:
        return Address(
            extension=_address_kind(SPECIAL_POSTAL),
            line=["Förmedlingsuppdrag", "Box 2820"],
            city="GÖTEBORG",
            postalCode="40320",
        )
    return Address(
        extension=_address_kind(CIVIL_REGISTRATION),
        use="home",
        line=[who.street],
        city=who.city,
        district=who.town.name,
        postalCode=who.postal_code,
        country="SE",
        period=Period(start=day(who.moved)) if who.moved else None,
    )


def contact(code: str, name: HumanName, phone: str) -> PatientContact:
    """A contact person of a patient."""
    return PatientContact(
        relationship=[kin(code)],
        name=name,
        telecom=[ContactPoint(system="phone", value=phone, use="mobile")],
    )


def _contacts(who: Resident, today: int) -> list[PatientContact] | None:
    if who.protected:
        return None
    if who.guardians and age_at(who.born, today) < 18:
        return [contact(f"guardian-{g.sex}", human_name(g), g.phone) for g in who.guardians]
    if who.partner is not None and not who.partner.died:
        code = ("wife" if who.partner.female else "husband") if who.married else "partner"
        return [contact(code, human_name(who.partner), who.partner.phone)]
    if age_at(who.born, today) >= 70:
        # A grown child that lives elsewhere; need not be a resident of the region.
        choice = who.number % 5
        code = ("daughter", "son", "daughter", "son", "friend")[choice]
        female = code in ("daughter", "friend")
        generation = "middle" if age_at(who.born, today) > 60 else "young"
        lists = table("people")["given"]["swedish"]["female" if female else "male"][generation]
        given = lists[who.number % len(lists)]
        name = HumanName(text=f"{given} {who.family}", family=who.family, given=[given])
        return [
            contact(
                code,
                name,
                f"073-{who.number % 1000:03d} {who.number % 89 + 10} {who.number % 79 + 10}",
            )
        ]
    return None


def patient(who: Resident, today: int) -> Patient:
    """The Patient of a resident; it carries no owner, the population register is nobody's record."""
    security = list(TEST_MARKS)
    if who.protected:
        security.append(
            SEKRETESSMARKERING if who.protected == "sekretessmarkering" else SKYDDAD_FOLKBOKFORING
        )
    age = age_at(who.born, today)
    where = address(who)
    language = LANGUAGE.get(who.background) if who.number % 3 == 0 else None
    marital = None
    if age >= 18:
        widowed = who.partner is not None and who.partner.died and who.married
        alone_old = who.partner is None and age >= 75
        marital = _MARITAL["W" if widowed or alone_old else "M" if who.married else "U"]
    return Patient(
        id=who.id,
        meta=Meta(profile=[SE_PATIENT], security=security),
        identifier=[Identifier(system=who.system, value=who.identity)],
        active=not who.died,
        name=[human_name(who)],
        telecom=None
        if who.protected or age < 13
        else [ContactPoint(system="phone", value=who.phone, use="mobile")],
        gender=who.sex,
        birthDate=day(who.born),
        deceasedDateTime=day(who.died) if who.died else None,
        address=[where] if where is not None else None,
        maritalStatus=marital,
        contact=_contacts(who, today),
        communication=[
            PatientCommunication(
                language=concept("urn:ietf:bcp:47", language[0], language[1]), preferred=True
            )
        ]
        if language
        else None,
        generalPractitioner=[who.centre.reference],
    )


def related_persons(who: Resident, today: int) -> Iterator[RelatedPerson]:
    """The guardians of a child, written by the health centre it is listed at."""
    if not who.guardians or age_at(who.born, today) >= 18:
        return
    subject = Reference(reference=f"Patient/{who.id}")
    for place, guardian in enumerate(who.guardians, 1):
        yield RelatedPerson(
            id=f"{who.prefix}-{0xF00 + place:012x}",
            meta=who.centre.meta(),
            identifier=[Identifier(system=guardian.system, value=guardian.identity)],
            active=True,
            patient=subject,
            relationship=[kin(f"guardian-{guardian.sex}"), _GUARDIAN],
            name=[human_name(guardian)],
            telecom=None
            if who.protected
            else [ContactPoint(system="phone", value=guardian.phone, use="mobile")],
            gender=guardian.sex,
            birthDate=day(guardian.born),
        )
