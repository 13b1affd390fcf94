"""Console text in Chinese and English, Chinese first; `phrases.json` is the catalogue.

The language is `--lang`, else HEARTHWATCH_LANG, else LANG when that says Chinese or English, else
Chinese. Values are put in by name and are never formats themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, Literal, cast, get_args

import msgspec

Language = Literal["zh", "en"]
LANGUAGES: Final[tuple[str, ...]] = get_args(Language)
_FILE: Final = Path(__file__).with_name("phrases.json")
_chosen: Language = "zh"


def choose(language: Language) -> None:
    """Set the language of everything said from here on."""
    global _chosen  # noqa: PLW0603 - one language per process, set before anything is said
    _chosen = language


def language() -> Language:
    """Return the language that is spoken now."""
    return _chosen


def without_language(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """Return the command line without `--lang WORD`, wherever it stands, and the word."""
    rest: list[str] = []
    found: str | None = None
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--lang":
            found = next(words, "")
        elif word.startswith("--lang="):
            found = word.partition("=")[2]
        else:
            rest.append(word)
    return rest, found


def language_of(environ: Mapping[str, str]) -> Language:
    """Return the language that the environment asks for."""
    locale = environ.get("LC_ALL") or environ.get("LANG") or ""
    wanted = (environ.get("HEARTHWATCH_LANG", ""), locale[:2])
    return cast("Language", next((word for word in wanted if word in LANGUAGES), "zh"))


def say(key: str, **values: object) -> str:
    """Return the text of `key` in the chosen language with its values put in."""
    text = phrases()[_chosen][key]
    return text.format_map(values) if values else text


@cache
def phrases() -> dict[str, dict[str, str]]:
    """Return the catalogue: texts by key, by language."""
    return msgspec.json.decode(_FILE.read_bytes(), type=dict[str, dict[str, str]])
