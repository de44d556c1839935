"""Staff: assignment, role, relation, consent, blocks, emergency (R1–R11, R14–R21)."""

from __future__ import annotations

from sammanhang.access.actor import Actor
from sammanhang.kernel.content import content

from .decision import Decision, Facts, Hidden, deny


def r1(actor: Actor, facts: Facts) -> Decision | None:
    """R1: staff need a strong log-in (level 3: content/rules/assurance) and one assignment (HSLF-FS 2016:40
    3 kap., PDL 4:2)."""
    if actor.kind != "staff":
        return None
    if actor.loa < content("rules/assurance")["staff_record"]:
        return deny(
            "R1",
            "Du är inloggad på en för låg tillitsnivå för att läsa journaler.",
            "You are logged in at too low a level of assurance to read records.",
            obligations=frozenset({"step-up"}),
        )
    if actor.assignment is None:
        return deny("R1", "Du har inte valt något uppdrag.", "You have not chosen an assignment.")
    return None


def r16_r17(actor: Actor, facts: Facts) -> Decision | None:
    """R16, R17: only roles in health care read the record; a care needs assessor (biståndshandläggare) with an
    effort for the adult and their consent (SVOD 1:3, 3:1–2); student support and other social services never,
    for SVOD 3:7 is exhaustive even with consent."""
    assert actor.assignment is not None
    known = content("rules/roles")["roles"].get(actor.assignment.role)
    if known is not None and known["read"]:
        return None
    domain = known["domain"] if known else "none"
    own = actor.assignment.provider
    if domain == "social" and known.get("shared"):
        adult = facts.age is None or facts.age >= content("rules/ages")["adult"]
        if facts.relation and adult and own in facts.consented:
            return _permit("R16", actor, facts, shared=True)
        return deny(
            "R16",
            "Du kan läsa när den enskilde är vuxen, har en insats eller utredning hos er och har samtyckt.",
            "You may read when the person is an adult, has an effort or an enquiry with you and has consented.",
        )
    return deny(
        {"social": "R16", "school-support": "R17"}.get(domain, "R2"),
        "Ditt uppdrag ger inte rätt att läsa patientjournaler.",
        "Your assignment gives no right to read patient records.",
    )


def r2(actor: Actor, facts: Facts) -> Decision | None:
    """R2: same unit and an active care relation → permit within the role (PDL 4:1)."""
    if not facts.relation:
        return None
    return _permit("R2", actor, facts, shared=True)


def r3(actor: Actor, facts: Facts) -> Decision | None:
    """R3: same care provider, no relation → only with a declared reason (PDL 4:1)."""
    assert actor.assignment is not None
    reasons = content("rules/reasons")["reasons"]
    known_here = any(p == actor.assignment.provider for p, _ in facts.sources)
    declared = reasons.get(facts.declared) if facts.declared else None
    if declared is not None and facts.exists and (known_here or declared["opens_unknown"]):
        return _permit("R3", actor, facts, shared=declared["opens_unknown"])
    if known_here:
        return deny(
            "R3",
            "Din enhet har ingen pågående vårdrelation med patienten.",
            "Your unit has no care relation with the patient now.",
            obligations=frozenset({"ask-reason"}),
            reasons=tuple(reasons),
        )
    return None


def r7(actor: Actor, facts: Facts) -> Decision | None:
    """R7, R18: another care provider's patient: information given first, relation, consent and assumed importance
    are all needed (SVOD 2:2, 3:1); importance is the care relation, or a declared reason of care. School health
    (EMI) and the region meet as any two providers."""
    reasons = content("rules/reasons")["reasons"]
    return deny(
        "R7",
        "Din vårdgivare har ingen patientrelation med personen.",
        "Your care provider has no patient relation with this person.",
        obligations=frozenset({"ask-reason"}),
        reasons=tuple(k for k, r in reasons.items() if r["opens_unknown"]),
    )


def r30(role: str, facts: Facts) -> tuple[bool, list[Hidden]]:
    """R30: whether the national medication list is shown, and what is told when it is not (lag 2018:1212 5:3–5).

    With consent for prescriber, nurse and dietitian; without for dose-dispensed patients; a block hides it but
    for a prescriber's warning that narcotics were dispensed; an emergency opens it, blocked too.
    """
    rules = content("rules/nll")
    if role not in rules["readers"]:
        return False, []
    if rules["party"] in facts.emergency:
        return True, []
    parties = frozenset({rules["party"]}) if facts.danger else frozenset()
    if "block" in facts.nll:
        told = [
            Hidden(
                "nll",
                "R30",
                "Det finns spärrade uppgifter i nationella läkemedelslistan.",
                "Blocked data exist in the national medication list.",
                parties,
            )
        ]
        if facts.narcotics and role in rules["prescribers"]:
            months = rules["narcotics_months"]
            told.append(
                Hidden(
                    "nll",
                    "R30",
                    f"Narkotikaklassade läkemedel har hämtats ut under de senaste {months} månaderna.",
                    f"Narcotics have been dispensed in the last {months} months.",
                )
            )
        return False, told
    if facts.nll & {"consent", "dose"}:
        return True, []
    return False, [
        Hidden(
            "nll",
            "R30",
            "Uppgifter finns i nationella läkemedelslistan. Patientens samtycke behövs för att läsa dem.",
            "The national medication list has data. The patient's consent is needed to read them.",
            parties,
        )
    ]


def _consented(own: str, domain: str, facts: Facts) -> bool:
    """R7, R14, R15: consent, or what stands in its place towards health care; a caregiver in social services
    (omsorgsgivare) has no such exception. Who has not been told of the sharing first (2:2) has not consented to it.
    """
    if own in facts.consented and facts.informed:
        return True
    return domain != "social" and not consent_needed(facts)


def consent_needed(facts: Facts) -> bool:
    """R14, R15: whether health care elsewhere reads only by consent. A child who cannot consent (SVOD 3:1, second
    paragraph) and an adult whose lasting inability is assessed (3:3) need not."""
    child = facts.age is not None and facts.age < content("rules/ages")["consents_from"]
    return not child and not facts.incapable


def _permit(rule: str, actor: Actor, facts: Facts, *, shared: bool) -> Decision:
    """Own provider's data, less inner blocks (R4–R6); others' with consent or in an emergency, less outer
    blocks (R7–R11, R19, R20)."""
    assert actor.assignment is not None
    own, unit = actor.assignment.provider, actor.assignment.unit
    role = content("rules/roles")["roles"][actor.assignment.role]
    nll = content("rules/nll")["party"]
    providers = frozenset(p for p, _ in facts.sources if p != nll)
    inner = {b.party for b in facts.blocks if b.kind == "inner" and b.party != unit} - facts.lifted
    outer = {b.party for b in facts.blocks if b.kind == "outer" and b.party != own} - facts.lifted
    boards = {
        other for pair in content("rules/shared_boards")["shared"] if own in pair for other in pair
    } & providers
    others = providers - {own}
    hidden: list[Hidden] = []
    owners = {own} | (boards - outer)

    blocked_here = frozenset(u for p, u in facts.sources if p == own and u in inner)
    if blocked_here - facts.emergency:
        hidden.append(_inner_block(facts, blocked_here - facts.emergency))
    if shared and _consented(own, role["domain"], facts):
        owners |= others - outer
    else:
        owners |= (others & facts.emergency) - outer
        if others - outer - owners:
            hidden.append(_no_consent(facts, frozenset(others - outer - owners)))
    if others & outer:
        hidden.append(_outer_block(facts, frozenset(others & outer)))
    if any(p == nll for p, _ in facts.sources):
        shown, told = r30(actor.assignment.role, facts)
        owners |= {nll} if shown else set()
        hidden += told
    obligations = {"mask"} if facts.protected else set()
    if facts.emergency:
        obligations.add("emergency")
    if hidden and role.get("emergency", role["write"]):
        obligations.add("may-declare")
    return Decision(
        "permit",
        "R9" if rule != "R16" and owners & facts.emergency else rule,
        "",
        "",
        owners=frozenset(owners),
        hidden_units=frozenset(
            u for p, u in facts.sources if u in inner and p in owners and u not in facts.emergency
        ),
        shared=r41(own),
        hidden=tuple(hidden),
        obligations=frozenset(obligations),
        write=bool(role["write"]),
    )


def r41(own: str) -> frozenset[str]:
    """R41: a care request, what is asked and answered about it, and a document sent belong to who wrote them and
    are seen by the care provider they were sent to: sending is a disclosure its sender answers for (OSL 10:1,
    25:11, 25:13 §§; lag 2017:612). Within that care provider the record opens as any other (R2, R3)."""
    return frozenset({own})


def _inner_block(facts: Facts, units: frozenset[str]) -> Hidden:
    """R4: that blocked data exist; R6: which units have them, once danger is declared (PDL 4:5)."""
    return Hidden(
        "inner-block",
        "R6" if facts.danger else "R4",
        "Det finns spärrade uppgifter på en annan enhet hos din vårdgivare.",
        "Blocked data exist at another unit of your care provider.",
        units if facts.danger else frozenset(),
    )


def _no_consent(facts: Facts, providers: frozenset[str]) -> Hidden:
    """R20: that others have data; R9: which, once danger is declared (SVOD 2:4, 3:6)."""
    return Hidden(
        "no-consent",
        "R9" if facts.danger else "R20",
        "Det finns uppgifter hos andra vårdgivare. Patientens samtycke behövs för att läsa dem.",
        "Other care providers have data. The patient's consent is needed to read them.",
        providers if facts.danger else frozenset(),
    )


def _outer_block(facts: Facts, providers: frozenset[str]) -> Hidden:
    """R8, R21: that blocked data exist, never whose; R10: whose, once danger is declared (SVOD 3:5)."""
    return Hidden(
        "outer-block",
        "R10" if facts.danger else "R8",
        "Det finns spärrade uppgifter hos en annan vårdgivare.",
        "Blocked data exist at another care provider.",
        providers if facts.danger else frozenset(),
    )
