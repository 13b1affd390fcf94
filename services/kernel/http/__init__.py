"""How every service speaks HTTP: one factory, one form of error, idempotent writes, cursor pages.

Open to anybody who reaches the port: `/healthz`, `/readyz`, `/metrics`. Everything else needs
`Authorization: Bearer <token>`. `/openapi.json` describes the API; no page loads from elsewhere.
"""

from services.kernel.http.app import make_app
from services.kernel.http.idempotency import RequestKey, answer, idempotent, request_key
from services.kernel.http.paging import page, page_cursor, read_cursor
from services.kernel.http.problems import problem

__all__ = [
    "RequestKey",
    "answer",
    "idempotent",
    "make_app",
    "page",
    "page_cursor",
    "problem",
    "read_cursor",
    "request_key",
]
