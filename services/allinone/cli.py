"""The command `hearthwatch`: each subcommand loads what it runs and nothing else.

Exit codes: 0 done, 1 found something wrong (said which), 2 wrong use.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, cast

import typer

from services.allinone import words
from services.allinone.console import tell_error
from services.kernel.errors import Fault, HearthwatchError, WrongUse


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; return its exit code. Errors of the project become one clear text."""
    words.choose(words.language_of(os.environ))
    try:
        rest, language = words.without_language(arguments)
        if language is not None:
            words.choose(_known(language))
        app()(args=rest, prog_name="hearthwatch")
    except HearthwatchError as exc:
        return tell_error(exc)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    return 0


def app() -> typer.Typer:
    """Return the command with its texts in the chosen language."""
    from services.allinone.commands import ALL

    found = typer.Typer(
        help=words.say("help.app"),
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    found.callback()(_common)
    for add in ALL:
        add(found)
    return found


def _common(
    lang: Annotated[str, typer.Option("--lang", metavar="zh|en", help="zh | en")] = "",
) -> None:
    del lang  # taken off the command line before anything was said; stands here to be in the help
    from services.kernel import logging

    logging.configure("console", "WARNING")  # before anything can fail; `up` says it otherwise


def _known(word: str) -> words.Language:
    if word not in words.LANGUAGES:
        raise WrongUse(Fault("--lang", "zh | en", repr(word), words.say("error.lang")))
    return cast("words.Language", word)


if __name__ == "__main__":
    main()
