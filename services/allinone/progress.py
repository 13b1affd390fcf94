"""A progress line with rates on a terminal; nothing where nobody looks."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import (
    MofNCompleteColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

from services.allinone.console import err
from services.allinone.words import say
from services.intake.importing import Counts
from services.kernel.clock import DAY, Monotonic, SystemMonotonic, rfc3339


class Progress:
    """Shows how many items were fed, how fast, and which virtual time it is."""

    def __init__(self, total: int | None = None, monotonic: Monotonic | None = None) -> None:
        console = err()
        self._monotonic = monotonic or SystemMonotonic()
        self._started_s = self._monotonic.seconds()
        self._bar = Bar(
            SpinnerColumn(),
            _Count(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total)

    def fed(self, read: int, at: int) -> None:
        """Show the items read so far, the rate since the start, and the virtual time."""
        text = say("progress.fed", rate=self._rate(read), at=rfc3339(at))
        self._bar.update(self._task, completed=read, description=text)

    def sent(self, read: int) -> None:
        """Show the items sent so far and the rate since the start."""
        text = say("progress.sent", rate=self._rate(read))
        self._bar.update(self._task, completed=read, description=text)

    def _rate(self, read: int) -> int:
        return round(read / max(self._monotonic.seconds() - self._started_s, 1e-6))

    def ended(self) -> None:
        """Say that only the report is still to come."""
        self._bar.update(self._task, description=say("progress.report"))

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


class Days(Progress):
    """Shows how many days of a history have passed, of how many; `begins` is its first instant."""

    def __init__(self, begins: int, days: int, monotonic: Monotonic | None = None) -> None:
        super().__init__(days, monotonic)
        self._begins = begins

    def fed(self, read: int, at: int) -> None:
        """Show the days passed by the virtual time, the items read so far, and their rate."""
        text = say("progress.days", read=read, rate=self._rate(read), at=rfc3339(at))
        self._bar.update(self._task, completed=(at - self._begins) // DAY, description=text)


class _Count(MofNCompleteColumn):
    """What was done, and of how much where that is known."""

    def render(self, task: Task) -> Text:
        """Return `n/m`, or `n` alone."""
        return Text(str(int(task.completed))) if task.total is None else super().render(task)


class Imported:
    """Shows how an import gets on."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar

    def sent(self, counts: Counts) -> None:
        """Show what was sent so far."""
        self._bar.sent(counts.read)
