"""Long waits: what is being done, how far it is and what is left, on stderr."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic as _now

from mmspec.cli import output

_PATIENCE = 1.5
_PAUSE = 10.0
"""Seconds between lines where there is no terminal."""
_SURE = 3.0
"""Seconds of work after which the time that is left can be told."""
_FRAMES = "|/-\\"


class Wait:
    """Something that takes a while."""

    def __init__(self, message: str, left: tuple[str, ...]) -> None:
        self._message = message
        self._then = f" (then: {', '.join(left)})" if left else ""
        self._what, self._before, self._start = "", 0, 0.0

    def __str__(self) -> str:
        return self._message + self._then

    def report(self, what: str, done: int, total: int) -> None:
        """So much of it is done; the rate is that since a kind of work was first told of."""
        now = _now()
        if what != self._what:
            self._what, self._before, self._start = what, done, now
        self._message = f"{what}: {done:,} of {total:,}"
        if done > self._before and now - self._start >= _SURE:
            seconds = (now - self._start) * (total - done) / (done - self._before)
            self._message += f", {_span(seconds)} left"


def _span(seconds: float) -> str:
    """A length of time, as people say it."""
    if seconds < 100:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 6000 else f"about {seconds / 3600:.1f} h"


@contextmanager
def shown(message: str, *left: str) -> Generator[Wait]:
    """Show what is being done, and what is left, once it has taken more than a moment."""
    wait, done = Wait(message, left), threading.Event()
    worker = threading.Thread(target=_show, args=(wait, done), daemon=True)
    worker.start()
    try:
        yield wait
    finally:
        done.set()
        worker.join()


def _show(wait: Wait, done: threading.Event) -> None:
    start = _now()
    if done.wait(_PATIENCE):
        return
    if not output.is_terminal(sys.stderr):
        _lines(wait, done)
        return
    turn = 0
    while not done.wait(0.1):
        frame, seconds = _FRAMES[turn % len(_FRAMES)], _now() - start
        told = f"{wait} {seconds:.0f} s"[: max(shutil.get_terminal_size().columns, 24) - 4]
        print(f"\r\x1b[K{frame} {told}", end="", file=sys.stderr, flush=True)
        turn += 1
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _lines(wait: Wait, done: threading.Event) -> None:
    """A line now and then, where it is another than the last."""
    said = ""
    while True:
        if str(wait) != said:
            said = str(wait)
            output.note(f"{said} ...")
        if done.wait(_PAUSE):
            return
