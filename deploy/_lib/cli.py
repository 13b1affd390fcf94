"""The shape that the three commands share: verbs, options, streams, exit codes."""

import argparse
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import DeployError
from .waiting import Stopwatch

Options = argparse.Namespace


@dataclass(frozen=True)
class Outcome:
    """What a verb found: `line` for a person, `data` for `--json`; not `ok` gives exit code 1."""

    ok: bool
    line: str
    data: Mapping[str, Any] = field(default_factory=dict)


class Command:
    """One executable with its verbs: progress on standard error, the answer on standard output."""

    def __init__(self, name: str, about: str, example: str) -> None:
        self.name = name
        self._parser = argparse.ArgumentParser(
            prog=f"deploy/{name}",
            description=about,
            epilog=f"example:\n{example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self._verbs = self._parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        self._run: dict[str, Callable[[Options], Outcome]] = {}

    def verb(
        self, name: str, about: str, run: Callable[[Options], Outcome], example: str
    ) -> argparse.ArgumentParser:
        """Add a verb and return its parser, for the options that only it has."""
        parser = self._verbs.add_parser(
            name,
            help=about,
            description=about,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        parser.add_argument("--json", action="store_true", help="answer with one JSON object")
        parser.add_argument(
            "--instance",
            type=_instance,
            metavar="NAME",
            help=f"another one beside the first, in build/{self.name}-NAME",
        )
        parser.add_argument(
            "--timeout",
            type=positive,
            default=120,
            metavar="S",
            help="seconds to wait for it (default 120)",
        )
        self._run[name] = run
        return parser

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run the verb that the arguments name; return the exit code (wrong use exits with 2)."""
        options = self._parser.parse_args(arguments)
        # SIGTERM as Ctrl-C: whoever ends a half-done `up` ends what it started too.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        # What is written here must be readable for the account that the servers run as.
        os.umask(0o022)
        watch = Stopwatch()
        try:
            outcome = self._run[options.verb](options)
        except DeployError as exc:
            print(f"{self.name}: {exc}", file=sys.stderr)
            outcome = Outcome(ok=False, line="", data={"error": str(exc)})
        except OSError as exc:
            problem = f"{exc}; it may belong to the user who ran `up` here: run this as that user"
            print(f"{self.name}: {problem}", file=sys.stderr)
            outcome = Outcome(ok=False, line="", data={"error": problem})
        except KeyboardInterrupt:
            print(f"{self.name}: interrupted", file=sys.stderr)
            return 130
        if options.json:
            elapsed = {"elapsed_s": round(watch.elapsed_s(), 2)}
            print(json.dumps({"name": self.name, **outcome.data, **elapsed}))
        elif outcome.line:
            print(outcome.line)
        return 0 if outcome.ok else 1


def say(name: str, text: str) -> None:
    """Report progress to a person; scripts read standard output only."""
    print(f"{name}: {text}", file=sys.stderr, flush=True)


def positive(text: str) -> int:
    """Parse a whole number above zero."""
    number = int(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number above 0")
    return number


def port(text: str) -> int:
    """Parse a port that needs no privilege."""
    number = int(text)
    if not 1024 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a port between 1024 and 65535")
    return number


def _instance(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected small letters, digits and hyphens, 41 at most"
        )
    return text
