"""Writing a package: whole or not at all whenever it is killed, never over the user's files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from large import is_deep

from mmspec.compiler import driver
from mmspec.compiler.emit import owned, package
from mmspec.compiler.emit.package import Package
from mmspec.diagnostics import MmspecError
from mmspec.version import __version__

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "specs" / "ponder.yaml"


def made(word: str, *extra: str) -> Package:
    """A package of three files or more that hold a word."""
    files = {name: f"{name} {word}\n" * 50 for name in ("__init__.py", "model.py", *extra)}
    files["manifest.json"] = package.manifest(files, word, {"modules": 1})
    return Package("small", "Small", files)


def held(folder: Path) -> dict[str, str]:
    """The files of a folder and those below, by name."""
    there = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in there}


def code(folder: Path, files: Package | None = None) -> str:
    """The code of the error that writing to a folder raises."""
    with pytest.raises(MmspecError) as caught:
        package.write(files or made("new"), folder)
    (found,) = caught.value.diagnostics
    assert found.help
    return found.code


def test_a_package_is_written_and_replaced(tmp_path: Path) -> None:
    first, second = made("old", "attention.py", "runtime/sparse.py"), made("new")
    assert package.write(first, tmp_path / "deep" / "small") == tmp_path / "deep" / "small"
    assert held(tmp_path / "deep" / "small") == first.files
    assert (tmp_path / "deep" / "small" / "runtime").stat().st_mode & 0o777 == 0o755
    package.write(second, tmp_path / "deep" / "small")
    assert held(tmp_path / "deep" / "small") == second.files
    assert not (tmp_path / "deep" / "small" / "runtime").exists()
    assert os.listdir(tmp_path / "deep") == ["small"]
    assert (tmp_path / "deep" / "small").stat().st_mode & 0o777 == 0o755


def test_an_empty_folder_and_a_cache_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    package.write(made("old", "runtime/sparse.py"), tmp_path / "small")
    for cache in ("__pycache__", "runtime/__pycache__"):
        (tmp_path / "small" / cache).mkdir()
        (tmp_path / "small" / cache / "model.cpython-311.pyc").touch()
    package.write(made("new"), tmp_path / "small")
    assert held(tmp_path / "small") == made("new").files


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for word in ("old", "new"):
        assert package.write(made(word), tmp_path / "link") == tmp_path / "link"
        assert held(tmp_path / "real") == made(word).files
    assert (tmp_path / "link").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]


@pytest.mark.parametrize("content", ["[]", "{}", "{", '{"files": ["notes.txt"]}', "\udcff"])
def test_a_folder_with_strangers_is_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert code(tmp_path) == "MM602"
    (tmp_path / "manifest.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert code(tmp_path) == "MM602"
    assert sorted(os.listdir(tmp_path)) == ["manifest.json", "notes.txt"]


def test_a_package_with_a_file_added_is_left_alone(tmp_path: Path) -> None:
    package.write(made("old"), tmp_path / "small")
    (tmp_path / "small" / "notes.txt").write_text("mine")
    assert code(tmp_path / "small") == "MM602"
    assert held(tmp_path / "small") == {**made("old").files, "notes.txt": "mine"}


def test_a_runtime_with_a_file_added_is_left_alone(tmp_path: Path) -> None:
    package.write(made("old", "runtime/sparse.py"), tmp_path / "small")
    (tmp_path / "small" / "runtime" / "notes.txt").write_text("mine")
    with pytest.raises(MmspecError, match=r"did not write: runtime/notes\.txt"):
        package.write(made("new"), tmp_path / "small")
    (tmp_path / "small" / "runtime" / "notes.txt").unlink()
    (tmp_path / "small" / "runtime" / "sparse.py").write_text("mine")
    with pytest.raises(MmspecError, match=r"edited since it was compiled: runtime/sparse\.py"):
        package.write(made("new", "runtime/sparse.py"), tmp_path / "small")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "small").write_text("mine")
    assert code(tmp_path / "small") == "MM601"
    assert code(tmp_path / "small" / "below") == "MM603"
    assert (tmp_path / "small").read_text() == "mine"


@pytest.mark.parametrize("length", [250, 300])
def test_a_name_may_be_too_long(tmp_path: Path, length: int) -> None:
    assert code(tmp_path / ("x" * length)) == "MM603"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("before", [True, False])
def test_a_full_disk_leaves_the_old_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    if before:
        package.write(made("old"), tmp_path / "small")
    left = iter([None, None])

    def fsync(file: int) -> None:
        if next(left, "full"):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    assert code(tmp_path / "small") == "MM603"
    assert os.listdir(tmp_path) == (["small"] if before else [])
    assert not before or held(tmp_path / "small") == made("old").files


KILLED = """
import itertools, os, signal, sys
from pathlib import Path
from mmspec.compiler.emit import owned, package
from mmspec.compiler.emit.package import Package

root, exchange = Path(sys.argv[1]), sys.argv[2] == "True"
removing = [owned.remove.__code__, owned._remove_plain.__code__]
if not exchange:
    package._exchange = lambda first, second: False


def made(word):
    files = {f"{name}.py": f"{name} {word}" * 50 for name in ("a", "b", "runtime/c")}
    return Package("small", "Small", files | {"manifest.json": package.manifest(files, "", {})})


def held(folder):
    there = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in there}


for number in itertools.count(0, int(sys.argv[3])):
    folder = root / str(number) / "small"
    package.write(made("old"), folder)
    child = os.fork()
    if child == 0:
        left = number

        def trace(frame, event, argument):
            global left
            code = frame.f_code
            if code.co_filename != package.__file__ and code not in removing:
                return None
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        package.write(made("new"), folder)
        sys.settrace(None)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    folders = [folder, *folder.parent.glob(".small.*.old")]
    found = [p for p in folders if p.exists()]
    words = [held(p) for p in found]
    whole = [word for word in ("old", "new") if dict(made(word).files) in words[:1]]
    print(number, status, *whole or ["broken"], found[0].name)
    package.write(made("last"), folder)
    assert held(folder) == made("last").files, number
    left = [path.name for path in folder.parent.iterdir() if path != folder]
    assert all(name.endswith(".old") for name in left), (number, left)
    if status == 0:
        break
"""


@pytest.mark.parametrize("exchange", [True, False])
def test_killed_at_any_line_it_leaves_a_whole_package(tmp_path: Path, exchange: bool) -> None:
    """SIGKILL before each line of the writer: the folder holds the old package, or the new one.

    In `make test` before each fourth.
    Where the system cannot exchange two folders, the old one may stand beside, under `.old`.
    """
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(exchange), "1" if is_deep() else "4"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rounds = [line.split() for line in done.stdout.splitlines()]
    assert len(rounds) > 20 and rounds[-1][1:] == ["0", "new", "small"]
    words = [row[2] for row in rounds]
    assert words == ["old"] * words.count("old") + ["new"] * words.count("new")
    assert {row[1] for row in rounds[:-1]} == {"9"}
    places = {row[3] for row in rounds}
    assert places == {"small"} or not exchange


CRAFTED: dict[str, Callable[[Path, Path], object]] = {
    "a device": lambda small, mine: (small / "model.py").symlink_to("/dev/zero"),
    "the manifest is a device": lambda small, mine: (small / "manifest.json").symlink_to(
        "/dev/zero"
    ),
    "a pipe": lambda small, mine: os.mkfifo(small / "model.py"),
    "the manifest is a pipe": lambda small, mine: os.mkfifo(small / "manifest.json"),
    "a folder": lambda small, mine: mine.rename(small / "model.py"),
    "the manifest is a folder": lambda small, mine: mine.rename(small / "manifest.json"),
    "a link out": lambda small, mine: (small / "model.py").symlink_to(mine / "notes.txt"),
    "a link to a folder": lambda small, mine: (small / "model.py").symlink_to(mine),
    "the cache is a link": lambda small, mine: (small / "__pycache__").symlink_to(mine),
    "the cache is mine": lambda small, mine: mine.rename(small / "__pycache__"),
    "another's file": lambda small, mine: (small / "thesis.txt").write_text("precious"),
    "another's module": lambda small, mine: (small / "thesis.py").write_text("precious"),
    "the runtime is a link": lambda small, mine: (small / "runtime").symlink_to(mine),
    "the runtime is mine": lambda small, mine: mine.rename(small / "runtime"),
    "the runtime is a pipe": lambda small, mine: os.mkfifo(small / "runtime"),
    "a link in the runtime": lambda small, mine: below(small, "sparse.py").symlink_to("/dev/zero"),
    "a folder in the runtime": lambda small, mine: mine.rename(below(small, "sparse.py")),
    "a cache of the runtime": lambda small, mine: mine.rename(below(small, "__pycache__")),
    "another's in the runtime": lambda small, mine: below(small, "thesis.py").write_text("dear"),
    "an empty runtime": lambda small, mine: (small / "runtime").mkdir(),
    "a great file": lambda small, mine: os.truncate(wrote(small / "model.py"), 1 << 40),
    "nothing": lambda small, mine: None,
}
"""What stands in a folder, whose manifest calls it ours."""
NAMES = [
    *("model.py", "thesis.txt", "thesis.py", "__pycache__", "../mine/notes.txt", "/dev/zero"),
    *("runtime", "runtime/sparse.py", "runtime/notes.txt", "runtime/../thesis.py", "runtime/"),
    *("runtime/__pycache__", "runtime/runtime/sparse.py", "other/sparse.py"),
]
SAYS = {
    "every file": {"mmspec": "1", "files": dict.fromkeys((*NAMES, "mine", "", ".."), "0" * 64)},
    "the right digests": {
        "mmspec": "1",
        "files": {**dict.fromkeys(NAMES, sha256(b"precious").hexdigest())},
    },
    "a list": {"mmspec": "1", "files": NAMES},
    "numbers": {"mmspec": "1", "files": dict.fromkeys(NAMES, 10**300)},
    "no version": {"mmspec": {}, "files": dict.fromkeys(NAMES, "0" * 64)},
}


def below(small: Path, name: str) -> Path:
    """A path in the folder of the runtime, which is there."""
    (small / "runtime").mkdir()
    return small / "runtime" / name


def wrote(path: Path) -> Path:
    """The path, at which there is a file now."""
    path.write_text("")
    return path


def everything(folder: Path) -> dict[str, tuple[int, str]]:
    """What lies below a folder: kinds, and what small files hold or links lead to."""
    found = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        small = path.is_file() and not path.is_symlink() and state.st_size < 1 << 20
        held_there = path.read_text() if small else ""
        found[str(path)] = (state.st_mode, os.readlink(path) if path.is_symlink() else held_there)
    return found


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("says", SAYS.values(), ids=SAYS)
@pytest.mark.parametrize("make", CRAFTED.values(), ids=CRAFTED)
def test_a_crafted_manifest_loses_nobody_a_file(
    tmp_path: Path, make: Callable[[Path, Path], object], says: dict[str, Any], force: bool
) -> None:
    """Nothing is read without end, waited for, followed or removed; a file of nobody is written."""
    small, mine = tmp_path / "small", tmp_path / "mine"
    small.mkdir()
    mine.mkdir()
    (mine / "notes.txt").write_text("precious")
    make(small, mine)
    if not os.path.lexists(small / "manifest.json"):
        (small / "manifest.json").write_text(json.dumps(says))
    before = everything(tmp_path)
    alone = sorted(os.listdir(small)) == ["manifest.json"]
    theirs = (small / "thesis.py").exists() and says is SAYS["the right digests"]
    try:
        package.write(made("new"), small, force)
    except MmspecError as error:
        assert {each.code for each in error.diagnostics} <= {"MM602", "MM605"}
        assert everything(tmp_path) == before
        return
    assert (alone and isinstance(says["files"], dict)) or theirs
    assert (mine / "notes.txt").read_text() == "precious"


@pytest.mark.parametrize("content", ["[" * 100_000, '{"mmspec": "1", "files": ' + "9" * 6000 + "}"])
def test_a_manifest_may_be_deep_or_hold_great_numbers(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    assert code(tmp_path) == "MM602"


def test_force_replaces_what_was_edited_and_nothing_else(tmp_path: Path) -> None:
    package.write(made("old", "kernels.py"), tmp_path / "small")
    (tmp_path / "small" / "model.py").write_text("mine")
    assert code(tmp_path / "small") == "MM605"
    assert package.write(made("new", "kernels.py"), tmp_path / "small", force=True)
    (tmp_path / "small" / "kernels.py").write_text("mine")
    with pytest.raises(MmspecError, match=r"did not write: kernels\.py"):
        package.write(made("last"), tmp_path / "small", force=True)
    assert (tmp_path / "small" / "kernels.py").read_text() == "mine"


def test_what_comes_while_a_package_is_replaced_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package.write(made("old"), tmp_path / "small")
    exchange = package._exchange

    def late(fresh: Path, directory: Path) -> bool:
        (directory / "notes.txt").write_text("precious")
        return exchange(fresh, directory)

    monkeypatch.setattr(package, "_exchange", late)
    package.write(made("new"), tmp_path / "small")
    assert held(tmp_path / "small") == made("new").files
    assert [path.read_text() for path in tmp_path.glob(".small.*/notes.txt")] == ["precious"]


def test_what_a_killed_compilation_left_is_swept(tmp_path: Path) -> None:
    """Of this package, and not that of one at work, nor a folder of another's."""
    names = ["abcdefgh", "busybusy", "mixed___"]
    killed, busy, mixed = (tmp_path / f"{owned.prefix(tmp_path / 'small')}{n}" for n in names)
    other, like = tmp_path / ".other.mmspec-abcdefgh", tmp_path / ".small.mmspec-notes"
    for folder in (killed, busy, mixed, other, like):
        folder.mkdir()
        (folder / "model.py").write_text("half of")
    (mixed / "notes.txt").write_text("precious")
    lock = owned.locked(busy)
    assert lock is not None
    package.write(made("new"), tmp_path / "small")
    left = {path for path in tmp_path.iterdir() if path.is_dir()} - {tmp_path / "small"}
    assert left == {busy, mixed, other, like}
    assert (mixed / "notes.txt").read_text() == "precious"
    os.close(lock)
    package.write(made("new"), tmp_path / "small")
    assert not busy.exists()


def test_the_manifest_says_what_was_written(tmp_path: Path) -> None:
    folder = driver.run(SPEC, "write", tmp_path / "ponder")
    files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    said = json.loads(files.pop("manifest.json"))
    assert said["mmspec"] == __version__
    assert said["files"] == {name: sha256(data).hexdigest() for name, data in files.items()}
    assert said["spec_sha256"] == sha256(files["spec.yaml"]).hexdigest()
    assert sorted(files) == ["__init__.py", "inputs.py", "model.py", "spec.yaml"]


def test_the_same_spec_is_the_same_bytes(tmp_path: Path) -> None:
    folder = driver.run(SPEC, "write", tmp_path / "ponder")
    first = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    again = driver.run(SPEC, "write", tmp_path / "ponder")
    assert {path.name: path.read_bytes() for path in Path(again).iterdir()} == first
    resolved = driver.run(Path(folder) / "spec.yaml", "write", tmp_path / "again")
    assert {path.name: path.read_bytes() for path in Path(resolved).iterdir()} == first


def test_the_digest_is_of_names_and_contents() -> None:
    assert made("old").digest == made("old").digest
    moved = dict(made("old").files)
    moved["model2.py"] = moved.pop("model.py")
    digests = {made("old").digest, made("new").digest, Package("small", "Small", moved).digest}
    assert len(digests) == 3
