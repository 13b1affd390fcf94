"""Jinja templates into pages: everything escaped, nothing undefined, no inline script or style."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import tzinfo
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from services.console import access
from services.console.words import LANGUAGES, say, says
from services.kernel.clock import SECOND, from_us, parse_rfc3339, rfc3339

LEVELS: Final = (3, 2, 1, 0)
SHAPES: Final = {3: "▲", 2: "◆", 1: "●", 0: "■"}
"""A level's shape, so that it is told without colour, too."""
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}


class Static:
    """The files of `static/`, held in memory under a path that changes with their content."""

    def __init__(self) -> None:
        folder = Path(str(files("services.console"))) / "static"
        self.files = {
            path.name: (path.read_bytes(), _TYPES[path.suffix])
            for path in sorted(folder.iterdir())
            if path.suffix in _TYPES
        }
        whole = hashlib.sha256()
        for name, (content, _) in self.files.items():
            whole.update(name.encode() + b"\0" + content)
        self.digest = whole.hexdigest()[:16]


class Pages:
    """Renders templates.

    Args:
        zone: In which instants are shown.
    """

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self.static = Static()
        self._env = Environment(
            loader=PackageLoader("services.console", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._env.globals.update(LEVELS=LEVELS, SHAPES=SHAPES, LANGUAGES=LANGUAGES)
        self._env.filters.update(
            clock=self.at, day=self._day, iso=rfc3339, ago=ago, span=span, say_service=_service
        )

    def text(self, request: Request, template: str, language: str, **values: Any) -> str:  # noqa: ANN401
        """Return a template's text."""
        root = request.scope.get("root_path", "")
        user = values.get("user")

        def t(key: str, **given: object) -> str:
            return say(language, key, **given)

        def word(prefix: str, code: object) -> str:
            """Return the word for a code of another service, or the code itself."""
            return says(language, f"{prefix}.{code}") or str(code)

        shared: Mapping[str, Any] = {
            "t": t,
            "word": word,
            "lang": language,
            "url": lambda path: root + path,
            "asset": lambda name: f"{root}/static/{self.static.digest}/{name}",
            "may": lambda page, action: user is not None and access.may(user.role, page, action),
            "of": lambda texts: of(texts, language),
            "path": request.url.path.removeprefix(root) or "/",
            "user": None,
            "csrf": "",
            "missing": (),
            "stale_since": None,
            "through": False,
            "glasses": getattr(request.state, "glasses", ()),
            "reviews_waiting": getattr(request.state, "reviews", 0),
        }
        return self._env.get_template(template).render({**shared, **values})

    def page(
        self,
        request: Request,
        template: str,
        language: str,
        status: int = 200,
        **values: Any,  # noqa: ANN401
    ) -> Response:
        """Return a template as an answer."""
        return Response(
            self.text(request, template, language, **values),
            status,
            {"vary": "accept, cookie"},
            "text/html; charset=utf-8",
        )

    def at(self, instant: str | int | None) -> str:
        """Return day and time of an instant in the zone of the place."""
        return "" if instant is None else self._local(instant).strftime("%m-%d %H:%M")

    def _day(self, instant: str | int | None) -> str:
        return "" if instant is None else self._local(instant).strftime("%Y-%m-%d")

    def _local(self, instant: str | int) -> Any:  # noqa: ANN401 - datetime, which strftime is asked of
        at = instant if isinstance(instant, int) else parse_rfc3339(instant)
        return from_us(at).astimezone(self.zone)


def of(texts: Any, language: str) -> str:  # noqa: ANN401 - JSON of another service
    """Return the text of a language out of `{zh, en}`, or of the other one, or nothing."""
    if isinstance(texts, str):
        return texts
    if not isinstance(texts, Mapping):
        return ""
    return str(texts.get(language) or next(iter(texts.values()), ""))


def ago(instant: str | int | None, now: int) -> int:
    """Return whole seconds from an instant to now; negative when it lies ahead."""
    if instant is None:
        return 0
    at = instant if isinstance(instant, int) else parse_rfc3339(instant)
    return (now - at) // SECOND


def span(seconds: int, language: str = "en") -> str:
    """Return a duration as people read it: 08:47, 3:05:00, 2 d 03 h or 2 天 3 小时."""
    sign, rest = ("-" if seconds < 0 else ""), abs(seconds)
    days, rest = divmod(rest, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    if days and language == "zh":
        return f"{sign}{days} 天 {hours} 小时"
    if days:
        return f"{sign}{days} d {hours:02} h"
    if hours:
        return f"{sign}{hours}:{minutes:02}:{rest:02}"
    return f"{sign}{minutes:02}:{rest:02}"


def _service(name: str, language: str) -> str:
    return says(language, f"service.{name}") or name
