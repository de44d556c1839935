"""Keys and partners from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from joserfc.jwk import ECKey

from sammanhang import cli


@pytest.fixture
def call(database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys):
    """Runs a command; returns its exit code and all it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "stop_on_signals", lambda: None)
    monkeypatch.setenv("SAMMANHANG_DATABASE_URL", database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM access.partner")
        connection.execute("DELETE FROM access.signing_key")
        connection.execute("DELETE FROM access.id_signing_key")

    def run(*arguments: str) -> tuple[int, str]:
        code = cli.call(list(arguments))
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.mark.asvs("v5.0.0-11.1.1", "v5.0.0-11.2.2")
def test_keys_are_listed_rotated_and_withdrawn(call) -> None:
    assert call("keys", "list") == (
        0,
        "There is no key yet; the first is made when the server starts.\n",
    )
    code, said = call("keys", "rotate")
    first = said.split()[2]
    assert code == 0 and "signs from now on" in said
    second = call("keys", "rotate")[1].split()[2]
    lines = [line for line in call("keys", "list")[1].splitlines() if "ES256" in line]
    assert lines[0].startswith(second) and lines[0].endswith("signs")
    assert lines[1].startswith(first) and "verifies until" in lines[1]
    assert call("keys", "withdraw", second)[0] == 0
    said = call("keys", "list")[1]
    assert second not in said and said.count("signs") == 2  # and the one for apps
    code, said = call("keys", "withdraw", second)
    assert code == 1 and f"There is no key {second}" in said


def test_partners_are_added_listed_and_closed(call, tmp_path: Path) -> None:
    key = ECKey.generate_key("P-256", {"kid": "k1"})
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps({"keys": [{**key.as_dict(private=False), "kid": "k1"}]}))
    bad.write_text(json.dumps({"keys": [key.as_dict(private=True)]}))
    issuer = "https://journal.example"
    assert call("partners", "list") == (0, "No partners are registered.\n")
    code, said = call("partners", "add", issuer, "--name", "Journalen", "--keys", str(bad))
    assert code == 1 and "holds a private part" in said
    assert call("partners", "add", issuer, "--name", "Journalen", "--keys", str(good))[0] == 0
    code, said = call("partners", "add", issuer, "--name", "Journalen", "--keys", str(good))
    assert code == 1 and "registered already" in said
    again = ("--name", "Journalen", "--keys", str(good), "--replace")
    assert call("partners", "add", issuer, *again)[0] == 0
    assert "Journalen, open, keys k1" in call("partners", "list")[1]
    assert call("partners", "close", issuer) == (0, f"{issuer} is closed.\n")
    assert "closed 2" in call("partners", "list")[1]
    for late in (("close", issuer), ("add", issuer, *again)):
        code, said = call("partners", *late)
        assert code == 1 and f"There is no partner {issuer} that is open." in said
    assert call("partners", "add", issuer, "--name", "x", "--keys", "nowhere.json")[0] == 2


@pytest.mark.asvs("v5.0.0-7.4.5")
def test_whoever_runs_the_server_ends_the_sessions_of_one_person(call, database: str) -> None:
    add = (
        "INSERT INTO access.session (id, person, kind, name, loa, csrf, expires)"
        " VALUES (%s, %s, 'staff', 'x', 3, '', now() + interval '1 hour')"
    )
    karin, other = "Practitioner/cli-karin", "Practitioner/cli-other"
    with psycopg.connect(database, autocommit=True) as connection:
        for id, person in ((b"1", karin), (b"2", karin), (b"3", other)):
            connection.execute(add, (id, person))
    assert call("access", "logout", karin) == (0, f"2 sessions of {karin} have ended.\n")
    assert call("access", "logout", karin)[0] == 1
    for wrong in ("karin", "Practitioner/", "Organization/x"):
        assert call("access", "logout", wrong)[0] == 2
    with psycopg.connect(database, autocommit=True) as connection:
        left = connection.execute("SELECT person FROM access.session WHERE person LIKE '%cli-%'")
        assert left.fetchall() == [(other,)]
        rows = connection.execute(
            "SELECT convert_from(entries, 'UTF8') FROM audit.block"
        ).fetchall()
    traced = [json.loads(x) for (text,) in rows for x in text.splitlines() if karin in x]
    assert traced[0]["action"] == "logout" and traced[0]["details"]["sessions"] == 2
