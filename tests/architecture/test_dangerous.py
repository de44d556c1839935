"""What the source does not do: read off the source, so that a new module cannot begin to."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from .test_layers import SOURCE, modules

ROOT = SOURCE.parents[1]
INVENTORY = ROOT / "docs" / "reference" / "security-inventory.md"
# Making the fictional region needs chance that can be repeated; a retry's pause needs no secret.
MAY_USE_CHANCE = {"region", "store", "rest/write.py"}
STARTS_PROGRAMS = {
    "operate/account.py",
    "operate/companion.py",
    "operate/database.py",
    "operate/server.py",
}
READS_XML = {"fhir/narrative.py"}
WRONG_HASHES = {"md5", "sha1", "new"}


def names(path: Path) -> set[str]:
    """What a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    return found


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Every call: `name` or `module.name`, and the call."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            f = node.func
            if isinstance(f, ast.Name):
                found.append((f.id, node))
            elif isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name):
                found.append((f"{f.value.id}.{f.attr}", node))
    return found


def where(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.asvs("v5.0.0-1.3.2", "v5.0.0-1.5.2", "v5.0.0-1.3.10")
def test_nothing_sent_is_run_or_unpickled() -> None:
    for path in modules():
        if path.parts[-2] == "generate":  # writes the models, from the official definitions
            continue
        bad = {n for n, _ in calls(path)} & {"eval", "exec", "__import__", "compile"}
        assert not bad, (where(path), bad)
        wrong = names(path) & {
            "pickle",
            "marshal",
            "shelve",
            "dill",
            "yaml",
            "xmlrpc",
            "jsonpickle",
        }
        assert not wrong, (where(path), wrong)


@pytest.mark.asvs("v5.0.0-1.2.5")
def test_no_shell_is_started_and_programs_only_where_the_database_is() -> None:
    for path in modules():
        if "subprocess" in names(path):
            assert where(path) in STARTS_PROGRAMS, where(path)
        for name, call in calls(path):
            assert name not in ("os.system", "os.popen", "pty.spawn"), where(path)
            shell = [k for k in call.keywords if k.arg == "shell"]
            assert not shell, where(path)


@pytest.mark.asvs("v5.0.0-1.5.1")
def test_xml_is_read_in_one_place_without_entities_or_network() -> None:
    readers = {
        where(p) for p in modules() if any(n.split(".")[0] in ("lxml", "xml") for n in names(p))
    }
    assert readers <= READS_XML
    text = (SOURCE / "fhir" / "narrative.py").read_text("utf-8")
    assert re.search(r"XMLParser\(resolve_entities=False, no_network=True, huge_tree=False\)", text)


@pytest.mark.asvs("v5.0.0-11.4.1", "v5.0.0-11.4.3", "v5.0.0-11.5.1", "v5.0.0-11.2.1")
def test_what_guards_uses_sound_hashes_and_no_chance_that_can_be_guessed() -> None:
    for path in modules():
        if any(where(path).startswith(allowed) for allowed in MAY_USE_CHANCE):
            continue
        assert "random" not in names(path), where(path)
        for name, _ in calls(path):
            head, _, last = name.partition(".")
            assert not (head == "hashlib" and last in WRONG_HASHES), where(path)
            assert name not in ("uuid.uuid1", "uuid.uuid3", "uuid.uuid5"), where(path)
    # Primitives come from libraries: none is written here.
    own = [
        where(p)
        for p in modules()
        if re.search(r"def (aes|encrypt|decrypt|hmac)_?\w*\(", p.read_text("utf-8"))
    ]
    assert own == []


@pytest.mark.asvs("v5.0.0-11.3.1", "v5.0.0-11.3.2", "v5.0.0-11.6.1", "v5.0.0-9.1.2")
def test_tokens_are_signed_by_one_list_of_algorithms() -> None:
    from sammanhang.access import identity_provider, keys

    assert keys.ALGORITHM == "ES256"
    assert set(identity_provider.ALGORITHMS) <= {"ES256", "PS256", "RS256"}
    for path in modules():
        text = path.read_text("utf-8")
        assert "RSA1_5" not in text and "HS256" not in text.replace("`alg: none`, HS256", ""), (
            where(path)
        )
        assert not re.search(r"\bECB\b|\bDES\b|\bRC4\b", text), where(path)


@pytest.mark.asvs(
    "v5.0.0-13.2.4",
    "v5.0.0-13.2.5",
    "v5.0.0-1.3.6",
    "v5.0.0-15.3.2",
    "v5.0.0-12.3.2",
    "v5.0.0-13.1.1",
)
def test_the_system_calls_only_where_the_inventory_says() -> None:
    inventory = INVENTORY.read_text("utf-8")
    outward = {"httpx", "urllib.request", "http.client", "requests", "aiohttp", "smtplib", "ftplib"}
    callers = {
        where(p)
        for p in modules()
        if where(p) != "web/testing.py"
        and (names(p) & outward)
        and re.search(
            r"httpx\.(Async)?Client|httpx\.(get|post|request|stream)|urlopen|SMTP",
            p.read_text("utf-8"),
        )
    }
    said = set(re.findall(r"`src/sammanhang/([\w/]+\.py)` calls out", inventory))
    assert callers == said, f"docs/reference/security-inventory.md names {sorted(said)}"
    for path in modules():
        for name, call in calls(path):
            options = {k.arg: k.value for k in call.keywords}
            assert "verify" not in options or name.startswith(("keys", "_hasher")), where(path)
            if name in ("httpx.AsyncClient", "httpx.Client") and where(path) in callers:
                value = options.get("follow_redirects")
                assert isinstance(value, ast.Constant) and value.value is False, where(path)
                assert "timeout" in options, where(path)


@pytest.mark.asvs("v5.0.0-15.2.3", "v5.0.0-13.4.2")
def test_nothing_of_tests_or_debugging_is_part_of_what_runs() -> None:
    allowed = {"operate/testing.py", "web/testing.py"}
    for path in modules():
        if where(path) in allowed:
            continue
        wanted = {
            n for n in names(path) if n.split(".")[0] in ("pytest", "hypothesis", "pdb", "ipdb")
        }
        assert not wanted, (where(path), wanted)
        assert not any(n == "breakpoint" for n, _ in calls(path)), where(path)
        assert "debug=True" not in path.read_text("utf-8"), where(path)


@pytest.mark.asvs("v5.0.0-15.1.1", "v5.0.0-15.1.2")
def test_what_is_depended_on_is_listed_and_its_remedies_have_times() -> None:
    policy = (ROOT / "SECURITY.md").read_text("utf-8")
    assert re.search(r"\b48 hours\b", policy) and re.search(r"\b30 days\b", policy)
    for lock in (ROOT / "requirements").glob("*.txt"):
        lines = [x for x in lock.read_text("utf-8").splitlines() if re.match(r"[a-z0-9]", x)]
        assert lines and all("==" in x for x in lines), lock
