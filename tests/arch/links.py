"""Links of Markdown files that stay inside the project."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

_FENCED: Final = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_QUOTED: Final = re.compile(r"`[^`\n]*`")
_INLINE: Final = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'][^)]*)?\)")
_REFERENCE: Final = re.compile(r"^\[[^\]]+\]:\s+<?(\S+?)>?(?:\s|$)", re.MULTILINE)
_HTML: Final = re.compile(r"\b(?:src|href|srcset)=\"([^\"\s]+)\"")
_ELSEWHERE: Final = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


def dead_links(path: Path, root: Path) -> Iterator[str]:
    """Yield the relative links of a file that lead nowhere, to a missing heading, or outside."""
    text = path.read_text(encoding="utf-8")
    plain = _QUOTED.sub("", _FENCED.sub("", text))
    for target in [*_INLINE.findall(plain), *_REFERENCE.findall(plain), *_HTML.findall(plain)]:
        if _ELSEWHERE.match(target):
            continue
        name, _, anchor = unquote(target).partition("#")
        aim = (path.parent / name).resolve() if name else path.resolve()
        inside = aim.is_relative_to(root.resolve()) and aim.exists()
        if not inside or (anchor and aim.suffix == ".md" and anchor not in anchors(aim)):
            yield target


def anchors(path: Path) -> set[str]:
    """Return the anchors of a Markdown file: its headings as the usual renderers name them."""
    text = _FENCED.sub("", path.read_text(encoding="utf-8"))
    found: set[str] = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", text, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        found.add(next(name for name in _numbered(slug) if name not in found))
    return found


def _numbered(slug: str) -> Iterator[str]:
    yield slug
    number = 1
    while True:
        yield f"{slug}-{number}"
        number += 1
