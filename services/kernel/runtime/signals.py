"""Being told to end: SIGTERM and SIGINT, heard without touching anything the main thread may hold.

A signal's handler runs in the middle of whatever the main thread does. One that sets the very event
that the main thread waits on can stand still for ever: both need the event's own lock.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def told_to_end(tell: Callable[[], object]) -> Iterator[None]:
    """Call `tell` once, on a thread of its own, when this process is told to end.

    A second signal of the same kind ends the process at once. Only from the main thread.
    """
    heard: SimpleQueue[bool] = SimpleQueue()  # the one queue that a handler may put into
    before = {each: signal.getsignal(each) for each in SIGNALS}

    def hear(number: int, _: FrameType | None) -> None:
        heard.put(True)
        signal.signal(number, signal.SIG_DFL)

    def listen() -> None:
        if heard.get():
            tell()

    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    try:
        for each in SIGNALS:
            signal.signal(each, hear)
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        heard.put(False)
        listener.join()
