"""The door over HTTP."""

from services.intake.api.routes import make_api

__all__ = ["make_api"]
