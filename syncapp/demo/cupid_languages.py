"""A property of the stand-in for Cupid in another language, made of the property as it is at the moment."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from syncapp.demo.cupid_words import WORDS

Record = dict[str, Any]
LANGUAGES = ("fr", "es")
WORD = re.compile(r"[A-Za-z]+")
# Where a property holds text that has a language; None is a text, a dict the fields of an object or of each in a list.
PICTURES = {"image_description": None}
TEXTS: Record = {
    "description": None,
    "markdown_description": None,
    "important_info": None,
    "photos": PICTURES,
    "facilities": {"name": None},
    "policies": {"name": None},
    "rooms": {"room_name": None, "description": None, "photos": PICTURES},
}


def translate(record: Record, language: str) -> Record:
    """The whole property in one of `LANGUAGES`; what has no language is the property's own."""
    translated: Record = _translate(record, TEXTS, language)
    if str(record.get("hotel_name")).startswith("The "):  # most names are the same everywhere
        translated["hotel_name"] = say(record["hotel_name"], language)
    return translated


def _translate(value: Any, texts: Record | None, language: str) -> Any:
    """Leaves what has another shape as it is: a test may have broken it."""
    if isinstance(value, list):
        return [_translate(item, texts, language) for item in value]
    if texts is None:
        return say(value, language) if isinstance(value, str) else value
    if isinstance(value, dict):
        return value | {
            name: _translate(value[name], inner, language) for name, inner in texts.items() if name in value
        }
    return value


@lru_cache(maxsize=4096)
def say(text: str, language: str) -> str:
    """The text with its words in that language, never the same text; "" stays so."""
    place = LANGUAGES.index(language)

    def word(match: re.Match[str]) -> str:
        known = match[0]
        words = WORDS.get(known.lower())
        if words is None:
            return known
        return words[place][0].upper() + words[place][1:] if known[0].isupper() else words[place]

    said = WORD.sub(word, text)
    return f"{text} ({language})" if text and said == text else said
