"""Settings are read from file and environment, and every one is documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from sammanhang.kernel.settings import ROWS, BadSetting, Settings, markdown, variable_of

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "settings.md"


def load(tmp_path: Path, env: dict[str, str], text: str = "") -> tuple[Settings, list[str]]:
    file = tmp_path / "sammanhang.toml"
    file.write_text(text, encoding="utf-8")
    warnings: list[str] = []
    return Settings.load(env, file, warn=warnings.append), warnings


def test_defaults_need_nothing(tmp_path: Path) -> None:
    settings, warnings = load(tmp_path, {"HOME": "/"})
    assert (settings.port, settings.processes, settings.demo) == (8000, 2, True)
    assert settings.base_url == "http://127.0.0.1:8000"
    assert warnings == []


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    settings, _ = load(
        tmp_path, {"SAMMANHANG_PORT": "9001"}, 'port = 9000\nresidents = 50\nlanguage = "en"\n'
    )
    assert (settings.port, settings.residents, settings.language) == (9001, 50, "en")
    assert settings.base_url == "http://127.0.0.1:9001"


def test_a_settings_file_can_be_named(tmp_path: Path) -> None:
    file = tmp_path / "region.toml"
    file.write_text("residents = 7\n")
    assert Settings.load({"SAMMANHANG_SETTINGS": str(file)}).residents == 7


def test_a_named_settings_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"gone\.toml cannot be read"):
        Settings.load({"SAMMANHANG_SETTINGS": str(tmp_path / "gone.toml")})


def test_a_broken_settings_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"sammanhang\.toml is not valid TOML"):
        load(tmp_path, {}, "port = = 3")


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("SAMMANHANG_PORT", "eight", "a whole number from 1 to 65535"),
        ("SAMMANHANG_PORT", "70000", "a whole number from 1 to 65535"),
        ("SAMMANHANG_DEMO", "perhaps", "true or false"),
        ("SAMMANHANG_LANGUAGE", "fi", "sv or en"),
        ("SAMMANHANG_QUERY_SECONDS", "nan", "a number, at least 0.1"),
        ("SAMMANHANG_DATA", " ", "a path"),
    ],
)
def test_a_bad_value_says_what_is_allowed(
    tmp_path: Path, variable: str, value: str, says: str
) -> None:
    with pytest.raises(BadSetting) as caught:
        load(tmp_path, {variable: value})
    assert variable in str(caught.value)
    assert says in str(caught.value)


def test_a_misspelt_variable_names_the_nearest(tmp_path: Path) -> None:
    _, warnings = load(tmp_path, {"SAMMANHANG_RESIDENT": "5"}, "prot = 8000\n")
    assert warnings == [
        "prot is not a setting and has no effect. Did you mean port?",
        "SAMMANHANG_RESIDENT is not a setting and has no effect. "
        "Did you mean SAMMANHANG_RESIDENTS?",
    ]


def test_settings_survive_the_way_to_a_worker(tmp_path: Path) -> None:
    settings, _ = load(
        tmp_path, {"SAMMANHANG_DEMO": "no", "SAMMANHANG_BASE_URL": "https://journal.example/"}
    )
    again, warnings = load(tmp_path, settings.as_environment())
    assert again == settings
    assert again.base_url == "https://journal.example"
    assert warnings == []


def test_every_setting_is_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == markdown(), "run: sammanhang settings --markdown > docs/reference/settings.md"
    for name, row in ROWS.items():
        assert f"`{variable_of(name)}`" in page
        assert row.sentence.endswith(".")
