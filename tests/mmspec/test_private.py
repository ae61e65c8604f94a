"""A cache is used where only this user could have written it, and nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from mmspec import private


def mode(path: Path) -> int:
    """The permissions of a file."""
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a test, which is not there yet; nothing was said so far."""
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path / "above" / "cache"))
    monkeypatch.setattr(private, "_SAID", set())
    return tmp_path / "above" / "cache"


def test_folders_and_files_are_for_one_user(base: Path) -> None:
    before = os.umask(0)
    try:
        folder = private.cache("kept", "deep")
        assert folder is not None and folder == base / "kept" / "deep"
        with private.written(folder / "entry") as file:
            file.write(b"words")
    finally:
        os.umask(before)
    assert [mode(each) for each in (base.parent, base, folder.parent, folder)] == [0o700] * 4
    assert mode(folder / "entry") == 0o600
    assert private.read(folder / "entry", 5) == b"words"
    assert private.read(folder / "entry", 4) is None


@pytest.mark.parametrize(
    ("own", "shared", "home", "found"),
    [
        ("{}/a", "{}/b", "{}/c", "{}/a"),
        ("", "{}/b", "{}/c", "{}/b/mmspec"),
        ("", "", "{}/c", "{}/c/.cache/mmspec"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, shared: str, home: str, found: str
) -> None:
    for name, value in {"MMSPEC_CACHE": own, "XDG_CACHE_HOME": shared, "HOME": home}.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    assert private.cache() == Path(found.format(tmp_path))


def others_may_write(path: Path) -> None:
    path.chmod(0o777)


def the_group_may_write(path: Path) -> None:
    path.chmod(0o770)


@pytest.mark.parametrize("open_to", [others_may_write, the_group_may_write])
@pytest.mark.parametrize("which", ["cache", "cache/kept", "."])
def test_what_others_may_write_is_refused_with_a_line(
    base: Path, capfd: pytest.CaptureFixture[str], which: str, open_to: Callable[[Path], None]
) -> None:
    assert private.cache("kept") == base / "kept"
    open_to(base.parent / which)
    assert private.cache("kept") is None
    assert private.cache("kept") is None
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert f"others may write to {base.parent / which}" in said and "MMSPEC_CACHE" in said
    assert mode(base.parent / which) in (0o777, 0o770), "nothing that others may write is trusted"


@pytest.mark.parametrize("open_to", [others_may_write, the_group_may_write])
@pytest.mark.parametrize("which", ["above", "above/cache", "above/cache/kept"])
def test_nothing_is_made_in_what_others_may_write(
    base: Path, capfd: pytest.CaptureFixture[str], which: str, open_to: Callable[[Path], None]
) -> None:
    folder = base.parents[1] / which
    folder.mkdir(parents=True, mode=0o700)
    for each in (base.parent, base):
        if each.exists():
            each.chmod(0o700)
    open_to(folder)
    assert private.cache("kept", "deep") is None
    assert os.listdir(folder) == []
    assert f"others may write to {folder}" in capfd.readouterr().err


def test_nothing_is_made_in_what_belongs_to_another(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base.mkdir(parents=True, mode=0o700)
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    assert private.cache("kept") is None
    assert os.listdir(base) == []


def test_what_another_makes_in_the_meantime_is_looked_at(
    base: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    make = private._make

    def slower(folder: Path) -> None:
        make(folder)
        folder.chmod(0o777)

    monkeypatch.setattr(private, "_make", slower)
    assert private.cache("kept") is None
    assert f"others may write to {base}" in capfd.readouterr().err


def test_a_folder_above_may_be_for_all_where_none_can_rename_it(base: Path) -> None:
    base.parent.mkdir()
    base.parent.chmod(0o1777)
    assert private.cache("kept") == base / "kept"


@pytest.mark.parametrize("name", ["MMSPEC_CACHE", "XDG_CACHE_HOME"])
def test_a_relative_cache_is_refused_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.delenv("MMSPEC_CACHE")
    monkeypatch.setenv(name, "some/\x1b[2Jwhere")
    monkeypatch.chdir(tmp_path)
    assert private.cache("kept") is None
    said = capfd.readouterr().err
    assert "is relative" in said and "\x1b" not in said
    assert os.listdir(tmp_path) == []


def test_what_belongs_to_another_user_is_refused_with_a_line(
    base: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = private.cache("kept")
    assert folder is not None
    with private.written(folder / "entry") as file:
        file.write(b"words")
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    assert private.cache("kept") is None
    assert f"{base} belongs to another user" in capfd.readouterr().err
    assert private.opened(folder / "entry") is None


def test_where_no_folder_can_be_nothing_is_said(
    base: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    base.parent.mkdir()
    base.write_text("a file")
    assert private.cache("kept") is None
    base.unlink()
    base.mkdir(mode=0o700)
    (base / "kept").symlink_to(base.parent)
    assert private.cache("kept") is None
    monkeypatch.setenv("MMSPEC_CACHE", os.devnull)
    assert private.cache("kept") is None
    assert capfd.readouterr().err == ""


def make_pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def make_link(path: Path) -> None:
    path.with_name("target").write_bytes(b"words")
    path.symlink_to("target")


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_open(path: Path) -> None:
    path.write_bytes(b"words")
    path.chmod(0o666)


@pytest.mark.parametrize("make", [make_pipe, make_link, make_device, make_open, Path.mkdir])
def test_what_is_no_plain_file_of_ours_is_not_read(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "entry")
    assert private.read(tmp_path / "entry", 1 << 20) is None


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with private.written(tmp_path / "entry") as file:
        file.write(b"old")
        assert not (tmp_path / "entry").exists()
    with pytest.raises(RuntimeError), private.written(tmp_path / "entry") as file:
        file.write(b"new")
        raise RuntimeError
    assert private.read(tmp_path / "entry", 9) == b"old"
    assert os.listdir(tmp_path) == ["entry"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError), private.written(tmp_path / "folder") as file:
        file.write(b"new")
    assert sorted(os.listdir(tmp_path)) == ["entry", "folder"]
