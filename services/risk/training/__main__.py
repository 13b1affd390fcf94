"""Run the tool without the `hearthwatch` command: `python -m services.risk.training`."""

from __future__ import annotations

from services.risk.training.cli import app

if __name__ == "__main__":
    app(prog_name="hearthwatch model")
