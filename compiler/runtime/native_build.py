"""The library of native.cpp: found in the cache, or compiled there by one process at a time.

A process waits for the compiler for a while, and then does without to its end, so that what it
computes stays the same to the bit; the compiler goes on, and later processes find what it made.
What failed is tried again after a day, or when the compiler or the source is another. Where there
is no cache that only this user may write, a process compiles for itself alone.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import torch

from mmspec import private
from mmspec.compiler.runtime import tuning

_FLAGS = (
    *("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno"),
    *("-fno-trapping-math", "-fopenmp", "-fPIC", "-shared"),
)
_WAIT = 20.0  # seconds that attention waits for the compiler
_LONGEST = 600.0  # and where native code was asked for
_SOON = 2.0  # after which it says that it waits
_DAY = 86400.0
_MOST = 1 << 24  # bytes of a library
_LINE = 300  # characters of a reason
_HELP = (
    "help: name a compiler that knows -march=native and -fopenmp in CXX, or unset MMSPEC_NATIVE:"
    " attention then takes torch's kernels"
)
_SCRIPT = """umask 077
if "$@" < /dev/null > "$0/log" 2>&1 && mv -f "$0/made.so" "$0/done.so"; then :
else mv -f "$0/log" "$0/failed"; fi"""
"""What compiles in a folder: its standard input is the lock, held while it runs."""

_RUNNING: list[subprocess.Popen[bytes]] = []


class _Absent(RuntimeError):
    """There is no way to have native code on this machine, which is nothing to speak of."""


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The compiled code; None where it cannot be had or is not wanted.

    Raises RuntimeError where it must be had.
    """
    wish = os.environ.get("MMSPEC_NATIVE", "")
    if wish == "0":
        return None
    try:
        return _found(_LONGEST if wish == "1" else _WAIT)
    except (OSError, RuntimeError) as error:
        if wish == "1":
            message = f"MMSPEC_NATIVE=1, but there is no native code: {error}\n{_HELP}"
            raise RuntimeError(message) from error
        if not isinstance(error, _Absent):
            private.say(
                f"attention takes the kernels of torch, which are slower than native code: {error};"
                " MMSPEC_NATIVE=0 asks for that"
            )
        return None


def stem() -> str:
    """How names of files about native code on this machine begin."""
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        raise _Absent("the processor has no AVX2")
    source = _source().read_text(encoding="utf-8")
    facts = (*_compiler(), *_FLAGS, _processor(), " ".join(platform.libc_ver()), source)
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:32]


def _source() -> Path:
    return Path(__file__).with_name("native.cpp")


def _found(patience: float) -> ctypes.CDLL:
    """The library. Raises OSError or RuntimeError."""
    name = stem()
    folder = private.cache("native")
    if folder is None:
        return _made_alone("there is no cache folder to keep it in", patience)
    try:
        return _shared(folder, name, patience)
    except OSError as error:  # it is full, or nobody may write there
        return _made_alone(f"{folder} cannot keep it ({error.strerror or error})", patience)


def _shared(folder: Path, name: str, patience: float) -> ctypes.CDLL:
    """From the cache, by whichever process compiles it."""
    built, build = folder / f"{name}.so", folder / f"{name}.build"
    begin, started = time.monotonic(), False
    while (found := _loaded(built) or _result(built, build, started)) is None:
        started = started or _start(built, build)
        waited = time.monotonic() - begin
        if waited > patience or (not started and _age(build) > patience):
            raise RuntimeError("it is still being compiled, and this process does without it")
        if waited > _SOON:
            private.say("compiling native code for attention, once for this machine: some seconds")
        time.sleep(0.02)
    return found


def _result(built: Path, build: Path, started: bool) -> ctypes.CDLL | None:
    """What a compiler left that is done, kept where it is looked for from then on.

    started: whether by this process. Raises RuntimeError where the compiler failed.
    """
    record = built.with_suffix(".failed.json")
    _refuse(record)
    lock = _locked(build) if build.exists() else None
    if lock is None:
        return None
    try:
        code, log = (private.read(build / name, _MOST) for name in ("done.so", "failed"))
        if code is not None:
            try:
                with private.written(built) as file:
                    file.write(code + hashlib.sha256(code).digest())
                record.unlink(missing_ok=True)
            except OSError as error:
                private.say(f"{built} cannot be written: {error.strerror or error}")
                return _loaded(build / "done.so", sealed=False)
        elif log is None and _taken(built, record):
            pass
        elif log is not None or started:
            _remember(record, _reason(log))
        elif not built.exists():
            return None
        shutil.rmtree(build, ignore_errors=True)
    finally:
        os.close(lock)
    _refuse(record)
    return _loaded(built)


def _taken(built: Path, record: Path) -> bool:
    """Whether another process kept what a compiler left before this one had the lock."""
    try:
        _refuse(record)
    except RuntimeError:
        return True
    return _loaded(built) is not None


def _remember(record: Path, reason: str) -> None:
    """That compiling failed; raises OSError where the compiler is not to blame."""
    if "No space left" in reason or "Read-only file system" in reason:
        raise OSError(reason)
    tuning.keep(record, {"reason": reason, "when": time.time(), "compiler": _version()})


def _refuse(record: Path) -> None:
    """Raises RuntimeError where this compiler failed within a day."""
    found = tuning.kept(record)
    if isinstance(found, dict) and found.get("compiler") == _version():
        reason, when = found.get("reason"), found.get("when")
        if isinstance(reason, str) and isinstance(when, float) and 0 <= time.time() - when < _DAY:
            again = f"tried again in a day, or once {record} is removed"
            raise RuntimeError(f"{reason[:_LINE]} ({again})")


def _start(built: Path, build: Path) -> bool:
    """Whether this process set a compiler to work, since nobody else has."""
    lock = _locked(build)
    if lock is None:
        return False
    try:
        if built.exists() and _loaded(built):
            shutil.rmtree(build, ignore_errors=True)
            return False
        for other in build.parent.glob("*.build"):  # of compilers that were stopped
            old = None if other == build else _locked(other)
            if old is not None:
                shutil.rmtree(other, ignore_errors=True)
                os.close(old)
        for name in ("made.so", "done.so", "log", "failed"):
            (build / name).unlink(missing_ok=True)
        _run(build, lock)
    finally:
        os.close(lock)
    return True


def _run(build: Path, lock: int) -> subprocess.Popen[bytes]:
    """The compiler at work in a folder, for as long as it takes."""
    command = [*_compiler(), *_FLAGS, "-o", str(build / "made.so"), str(_source())]
    child = subprocess.Popen(
        ["/bin/sh", "-c", _SCRIPT, str(build), *command],
        stdin=lock,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _RUNNING.append(child)
    return child


def _made_alone(why: str, patience: float) -> ctypes.CDLL:
    """Compiled for this process, whose own it is."""
    private.say(f"native code for attention is compiled for this process alone: {why}")
    with tempfile.TemporaryDirectory(prefix="mmspec-native-") as place:
        child = _run(Path(place), subprocess.DEVNULL)
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise RuntimeError(f"compiling took more than {patience:.0f} s") from None
        found = _loaded(Path(place) / "done.so", sealed=False)
        if found is None:
            raise RuntimeError(_reason(private.read(Path(place) / "failed", _MOST)))
        return found


def _loaded(path: Path, sealed: bool = True) -> ctypes.CDLL | None:
    """The library of a file that only this user could write; None: there is none.

    Its folder is such too, so that what is loaded is what was read. sealed: its end must be the
    digest of what is before, since a part of one may crash at once.
    """
    file = private.opened(path)
    if file is None:
        return None
    with file:
        code = file.read(_MOST)
        if sealed and code[-32:] != hashlib.sha256(code[:-32]).digest():
            return None
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise RuntimeError(f"{path} cannot be loaded: {error}") from error


def _locked(build: Path) -> int | None:
    """The lock of a folder in which code is compiled, made if need be; None: another has it."""
    import fcntl

    path = build / "lock"
    for _ in range(9):  # a folder may go meanwhile, its work done
        with suppress(FileExistsError):
            build.mkdir(mode=0o700)
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_ino == path.stat().st_ino:
                return lock
        except FileNotFoundError:
            pass
        except BlockingIOError:
            os.close(lock)
            return None
        except OSError:
            os.close(lock)
            raise
        os.close(lock)
    return None


def _age(build: Path) -> float:
    """Seconds since the last that was seen of a compiler."""
    try:
        return time.time() - build.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _reason(log: bytes | None) -> str:
    """What a compiler said, in a line; None: it did not come to an end."""
    if log is None:
        return "the compiler was stopped"
    lines = [line.strip() for line in log.decode(errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if "error" in line or "No space left" in line]
    return (told or lines or ["the compiler failed without a word"])[0][:_LINE]


def _compiler() -> list[str]:
    """The command: what $CXX says, words apart, or the first that is there."""
    named = os.environ.get("CXX")
    for name in [named] if named else ["c++", "g++", "clang++"]:
        command, *options = shlex.split(name) or [""]
        found = shutil.which(command)
        if found:
            return [os.path.abspath(found), *options]
    told = f"CXX={named} is not there" if named else "c++, g++ and clang++ are not there"
    raise _Absent(f"there is no C++ compiler: {told}")


def _version() -> str:
    """What is another where the compiler is."""
    path = os.path.realpath(_compiler()[0])
    state = os.stat(path)
    return f"{path} {state.st_size} {state.st_mtime_ns}"


def _processor() -> str:
    """What code for this processor alone depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags"))}))
