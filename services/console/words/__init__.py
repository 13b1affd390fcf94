"""What the pages say, Chinese first; the languages have equal keys, as a test proves.

A language is `zh.json` and every `zh-<part>.json` beside it; no key stands in two of them.
Values are put in by name and are never formats themselves.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

Language = Literal["zh", "en"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
_FOLDER: Final = Path(__file__).parent


@cache
def catalogue(language: str) -> dict[str, str]:
    """Return the texts of a language by key."""
    found: dict[str, str] = {}
    for path in parts(language):
        found |= msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    return found


def parts(language: str) -> list[Path]:
    """Return the files of a language."""
    return [_FOLDER / f"{language}.json", *sorted(_FOLDER.glob(f"{language}-*.json"))]


def say(language: str, key: str, **values: object) -> str:
    """Return the text of a key with its values put in; a key nobody wrote is a KeyError."""
    text = catalogue(language)[key]
    return text.format_map(values) if values else text


def says(language: str, key: str) -> str | None:
    """Return the text of a key that need not be there, such as the word for a code."""
    return catalogue(language).get(key)
