"""Work shared among processes: pieces go out in order, and what becomes of them comes back so.

A worker is a fresh Python that imports what a piece needs and nothing of the caller's own script.
It ends when its input does, so none is left behind by a caller that is killed.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import IO, Any, Final, TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")

MOST: Final = 8
"""Workers at most: each takes some 50 MB, and that of a picture or so."""
_START: Final = (
    "import sys; sys.path[:] = sys.argv[1:]; from mmspec.data import workers; workers.serve()"
)
_ALONE: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Ended(Exception):
    """A worker ended in the middle of its work; a negative code is a signal."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.how = f"signal {-code}" if code < 0 else f"exit code {code}"


def count() -> int:
    """How many workers this machine has room for; one would be no help."""
    cores = len(os.sched_getaffinity(0))
    return min(cores, MOST) if cores > 1 else 0


class _Worker:
    """A process that does one piece at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | _ALONE,
        )

    def ask(self, do: Callable[[Any], Any], piece: Any) -> Any:
        """What `do(piece)` gives; raises Ended where the process does not live to say so."""
        assert self._process.stdin and self._process.stdout
        try:
            _send(self._process.stdin, pickle.dumps((do, piece)))
            said = _receive(self._process.stdout)
        except (EOFError, OSError):
            raise Ended(self._process.wait()) from None
        error, result = pickle.loads(said)
        if error:
            raise RuntimeError(error)
        return result

    def stop(self) -> None:
        """Whatever it does, it stops."""
        self._process.kill()

    def end(self) -> None:
        """It stops, and nothing of it is left."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                assert pipe
                pipe.close()
            except OSError:
                continue


class Crew:
    """Some workers, fewer where there is no room for more; raises OSError where for none."""

    def __init__(self, size: int) -> None:
        self._size, self._is_over = size, False
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._all = list[_Worker]()
        try:
            for _ in range(size):
                self._all.append(_Worker())
        except OSError:
            if not self._all:
                raise
        self._pool = ThreadPoolExecutor(len(self._all))
        for worker in self._all:
            self._idle.put(worker)

    def map(
        self, do: Callable[[Piece], Result], pieces: Iterable[Piece]
    ) -> Iterator[tuple[Piece, Result | Ended]]:
        """Each piece with its result, in order; a few more are under way."""
        waiting: deque[tuple[Piece, Future[Result | Ended]]] = deque()
        for piece in pieces:
            waiting.append((piece, self._pool.submit(self._do, do, piece)))
            if len(waiting) > 2 * self._size:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()

    def _do(self, do: Callable[[Piece], Result], piece: Piece) -> Result | Ended:
        worker = self._idle.get()
        try:
            result: Result = worker.ask(do, piece)
            return result
        except Ended as ended:
            worker.end()
            if not self._is_over:
                worker = _Worker()
                self._all.append(worker)
            return ended
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """No more work is done."""
        self._is_over = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        for worker in [*self._all]:
            worker.stop()
        self._pool.shutdown()
        for worker in self._all:
            worker.end()


def serve() -> None:
    """Do pieces of work from standard input until it ends: what a worker runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    given, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            asked = _receive(given)
        except EOFError:
            return
        try:
            do, piece = pickle.loads(asked)
            reply = pickle.dumps(("", do(piece)))
        except Exception:  # noqa: BLE001 - it is raised where the work was asked for
            reply = pickle.dumps((traceback.format_exc(), None))
        try:
            _send(answers, reply)
        except BrokenPipeError:
            return


def _send(file: IO[bytes], message: bytes) -> None:
    file.write(len(message).to_bytes(8, "little") + message)
    file.flush()


def _receive(file: IO[bytes]) -> bytes:
    """A message; EOFError where there is none, or only a part of one."""
    length = file.read(8)
    message = file.read(int.from_bytes(length, "little")) if len(length) == 8 else b""
    if len(length) < 8 or len(message) < int.from_bytes(length, "little"):
        raise EOFError
    return message
