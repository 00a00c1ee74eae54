"""Which properties are followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import Settings, SettingsError, load_settings
from syncapp.connectors.cupid import followed_ids, missing_file
from syncapp.errors import CredentialsMissing


def test_the_list_that_comes_along_is_the_default() -> None:
    found = followed_ids(Settings())
    assert len(found) == 100
    assert list(found) == sorted(set(found))


def test_a_variable_comes_before_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ids"
    file.write_text("30\n# old\n10 # ours\n\n20\n10\n")
    monkeypatch.setenv("CUPID_PROPERTY_IDS_FILE", str(file))
    assert followed_ids(load_settings()) == (10, 20, 30)
    monkeypatch.setenv("CUPID_PROPERTY_IDS", " 5, 7\n5,")
    assert followed_ids(load_settings()) == (5, 7)


@pytest.mark.parametrize("text", ["five", "1,-2", "0", "1;2", "1.5", "9" * 19, "\u0663"])
def test_what_is_no_id_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPID_PROPERTY_IDS", text)
    with pytest.raises(SettingsError, match="CUPID_PROPERTY_IDS"):
        load_settings()


@pytest.mark.parametrize("content", [b"ten\n", b"\xff\xfe\x00", b"", b"# nothing\n"])
def test_a_file_that_holds_something_else_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "ids"
    file.write_bytes(content)
    settings = Settings(cupid_property_ids_file=str(file))
    assert missing_file(settings) == []
    with pytest.raises(CredentialsMissing, match="ids cannot be used"):
        followed_ids(settings)


def test_a_file_that_is_not_there_leaves_the_sync_unconfigured(tmp_path: Path) -> None:
    settings = Settings(cupid_property_ids_file=str(tmp_path / "gone"))
    assert missing_file(settings) == [f"CUPID_PROPERTY_IDS_FILE ({tmp_path / 'gone'} cannot be read)"]
    with pytest.raises(CredentialsMissing, match="No such file"):
        followed_ids(settings)


@pytest.mark.parametrize("text", ["fr es", "FR,es,fr", "fr, es,"])
def test_languages(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPID_LANGUAGES", text)
    assert load_settings().cupid_languages == ("fr", "es")


@pytest.mark.parametrize("text", ["francais1", "f", "fr/../x", "fr_FR"])
def test_what_is_no_language_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPID_LANGUAGES", text)
    with pytest.raises(SettingsError, match="CUPID_LANGUAGES"):
        load_settings()
