"""Native code in the cache: ours alone, compiled by one process at a time, never twice in vain."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from native_build_case import (
    COPY,
    again,
    compiler,
    compiles,
    count,
    files,
    here,
    known,
    right,
)

from mmspec import private
from mmspec.compiler.runtime import native_build

pytest_plugins = ("native_build_fixtures",)
pytestmark = pytest.mark.usefixtures("machine")


@compiles
def test_of_processes_at_once_one_compiles(
    tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler ends only when both are at it: each needs two seconds to import torch."""
    wait = f"while [ $(ls {tmp_path} | grep -c there) -lt 2 ]; do sleep 0.05; done; sleep 0.5"
    monkeypatch.setenv("CXX", str(compiler(tmp_path, wait, COPY.format(code=code))))
    monkeypatch.setenv("MMSPEC_NATIVE", "1")
    words = (
        "import os, sys; from mmspec.compiler.runtime import native_build;"
        "open(sys.argv[1], 'w').close(); print(native_build.library() is not None)"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", words, str(tmp_path / f"there {name}")],
            env=here(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    assert [process.communicate(timeout=100)[0].strip() for process in both] == ["True", "True"]
    assert count(tmp_path) == 1 and len(files(tmp_path)) == 1
    assert again() is not None and count(tmp_path) == 1


@compiles
@pytest.mark.parametrize("fails", [False, True])
def test_what_another_process_kept_first_is_seen_under_the_lock(
    fails: bool, tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends between a look at the folder and its lock, which makes the folder again."""
    what = "echo 'an error' >&2; exit 1" if fails else COPY.format(code=code)
    monkeypatch.setenv("CXX", str(compiler(tmp_path, what)))
    lock, result = native_build._locked, native_build._result
    others: list[Path] = []

    def late(build: Path) -> int | None:
        if native_build._RUNNING and not others:
            native_build._RUNNING[0].wait()
            others.append(build)
            with suppress(RuntimeError):
                result(build.with_suffix(".so"), build, False)
            assert not build.exists()
        return lock(build)

    monkeypatch.setattr(native_build, "_locked", late)
    found = again()
    assert others and count(tmp_path) == 1
    assert (found is None) is fails
    assert [file.suffix for file in files(tmp_path)] == ([] if fails else [".so"])
    records = [file.read_text() for file in (tmp_path / "cache").rglob("*.failed.json")]
    assert len(records) == fails and all("an error" in record for record in records)


FAILURES = {
    "exit 1": "the compiler failed without a word",
    "exit 0": "the compiler failed without a word",
    "echo first; echo 'a.h: error: a message' >&2; exit 1": "a.h: error: a message",
    r"printf '\377\033[2J' >&2; exit 1": "\\x1b[2J",
    'while [ "$1" != -o ]; do shift; done; echo half > "$2"; exit 1': "without a word",
    "kill -9 $PPID": "the compiler was stopped",
}
"""What a compiler does, and what is said of it."""


@known
@pytest.mark.parametrize("line", FAILURES)
def test_a_compiler_that_fails_leaves_attention_to_torch_with_a_line(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", str(compiler(tmp_path, line)))
    assert native_build.library() is None and again() is None
    assert count(tmp_path) == 1 and files(tmp_path) == []
    right(monkeypatch)
    out, said = capfd.readouterr()
    assert out == "" and said.count("\n") == 1 and "\x1b" not in said
    assert FAILURES[line] in said and "slower" in said and "MMSPEC_NATIVE=0" in said


@compiles
def test_what_failed_is_tried_again_when_something_changed(
    tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler, or a day went by."""
    monkeypatch.setenv("CXX", str(compiler(tmp_path, "exit 1")))
    assert again() is None and again() is None and count(tmp_path) == 1
    compiler(tmp_path, "exit 2 # another")
    assert again() is None and again() is None and count(tmp_path) == 2
    now = time.time()
    monkeypatch.setattr(
        native_build, "time", SimpleNamespace(**{**vars(time), "time": lambda: now + 1e5})
    )
    assert again() is None and count(tmp_path) == 3
    compiler(tmp_path, COPY.format(code=code))
    assert again() is not None and count(tmp_path) == 4


@compiles
def test_a_slow_compiler_goes_on_for_later_processes(
    tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The first does without to its end; others neither wait long nor compile again."""
    wait = f"while ! [ -e {tmp_path}/go ]; do sleep 0.05; done"
    monkeypatch.setenv("CXX", str(compiler(tmp_path, wait, COPY.format(code=code))))
    monkeypatch.setattr(native_build, "_WAIT", 3.0)
    monkeypatch.setattr(native_build, "_SOON", 0.1)
    assert native_build.library() is None
    right(monkeypatch)
    said = capfd.readouterr().err
    assert said.count("\n") == 2 and "compiling" in said and "does without it" in said
    begin = time.monotonic()
    assert again() is None and count(tmp_path) == 1
    assert time.monotonic() - begin < 2.5, "another process has waited already"
    (tmp_path / "go").write_text("")
    (child,) = native_build._RUNNING
    child.wait(60)
    assert again() is not None and count(tmp_path) == 1
    assert [file.suffix for file in files(tmp_path)] == [".so"]


@compiles
def test_what_a_stopped_process_left_is_swept(copying: Path) -> None:
    """Of another compiler; what is still at work stays."""
    folder = copying / "cache" / "native"
    for name in ("stopped.build", "working.build"):
        (folder / name).mkdir(parents=True, mode=0o700)
        (folder / name / "made.so").write_text("half")
    for each in (folder, folder.parent):
        each.chmod(0o700)
    lock = native_build._locked(folder / "working.build")
    assert lock is not None and again() is not None
    assert [file.name for file in files(copying)][1:] == ["working.build"]
    os.close(lock)


def refused(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def no_folder(cache: Path, _: pytest.MonkeyPatch) -> None:
    cache.write_text("")


def nobody_may_write(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir(mode=0o500)
    if os.geteuid() == 0:  # whom no mode stops
        monkeypatch.setattr(Path, "mkdir", refused)


def all_may_write(cache: Path, _: pytest.MonkeyPatch) -> None:
    cache.mkdir()
    cache.chmod(0o777)


def relative(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMSPEC_CACHE", ".")


def no_locks(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_build, "_locked", refused)


NO_CACHE = [no_folder, nobody_may_write, all_may_write, relative, no_locks]


@compiles
@pytest.mark.parametrize("make", NO_CACHE)
def test_without_a_cache_a_process_compiles_for_itself(
    make: Callable[[Path, pytest.MonkeyPatch], None],
    copying: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Nothing is left behind, where it ran or anywhere else."""
    temporary = copying / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.chdir(temporary)
    make(copying / "cache", monkeypatch)
    assert native_build.library() is native_build.library() is not None and count(copying) == 1
    right(monkeypatch)
    assert "for this process alone" in capfd.readouterr().err
    assert os.listdir(temporary) == []


@compiles
@pytest.mark.parametrize("line", ["exit 1", "exec sleep 60"])
def test_alone_too_a_compiler_may_fail(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", str(compiler(tmp_path, line)))
    monkeypatch.setenv("MMSPEC_CACHE", os.devnull)
    monkeypatch.setattr(native_build, "_WAIT", 0.5 if "sleep" in line else 60.0)
    assert (
        native_build.library() is None and native_build.library() is None and count(tmp_path) == 1
    )
    said = capfd.readouterr().err
    assert "took more than 0 s" in said if "sleep" in line else "without a word" in said
    (child,) = native_build._RUNNING
    assert child.returncode is not None, "no compiler outlives its folder"


@compiles
def test_a_full_cache_is_not_asked_twice(copying: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was compiled is used from where it is, and kept where there is room again."""
    with monkeypatch.context() as patched:
        patched.setattr(private, "written", full)
        assert again() is not None and again() is not None
    assert count(copying) == 1 and not list((copying / "cache" / "native").glob("*.so"))
    assert again() is not None
    assert count(copying) == 1 and len(files(copying)) == 1


@compiles
def test_a_compiler_without_room_is_asked_again(
    tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the cache it had none, where a process compiles for itself there is."""
    room = f'case "$*" in *{tmp_path}/cache*) echo "x.s: No space left on device"; exit 1;; esac'
    monkeypatch.setenv("CXX", str(compiler(tmp_path, room, COPY.format(code=code))))
    assert again() is not None and count(tmp_path) == 2
    assert not list((tmp_path / "cache" / "native").glob("*.json"))


def others_may_write(built: Path) -> None:
    built.chmod(0o666)


def a_link(built: Path) -> None:
    built.rename(built.with_suffix(".elsewhere"))
    built.symlink_to(built.with_suffix(".elsewhere"))


def a_pipe(built: Path) -> None:
    built.unlink()
    os.mkfifo(built)


@compiles
@pytest.mark.parametrize("change", [others_may_write, a_link, a_pipe])
def test_code_that_others_could_have_put_there_is_not_loaded(
    change: Callable[[Path], None], copying: Path
) -> None:
    assert again() is not None
    (built,) = files(copying)
    change(built)
    assert again() is not None and count(copying) == 2
    assert stat.S_ISREG(built.lstat().st_mode) and built.stat().st_mode & 0o777 == 0o600


@compiles
def test_code_of_another_user_is_not_loaded(copying: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose folder it is, their code would run as us."""
    assert again() is not None and count(copying) == 1
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    with monkeypatch.context() as patched:
        patched.setattr(ctypes, "CDLL", lambda path: pytest.fail(f"{path} was loaded"))
        patched.setenv("CXX", str(compiler(copying, "exit 1")))
        assert again() is None
