"""Large columns: encoded by several processes, kept in a file, and the same as small ones."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from data_case import ends, named, slow, source, spec
from PIL import Image

from mmspec.data import dataset, encoding, files, registry, store, workers
from mmspec.data.dataset import Dataset
from mmspec.data.faults import Faults
from mmspec.data.source import Opened, silent
from mmspec.diagnostics import MmspecError

NAMES = ("text", "image", "clip", "audio", "motion", "facts")
ROWS = 41


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, in which every file is enough to be kept."""
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(encoding, "_FILES", 1)
    monkeypatch.setattr(workers, "count", lambda: 0)
    return tmp_path / "cache" / "encoded"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Rows with a file of each kind; every third cell is empty."""
    draw, lines = np.random.default_rng(3), list[str]()
    for row in range(ROWS):
        Image.fromarray(draw.integers(0, 256, (9, 7, 3), np.uint8)).save(tmp_path / f"{row}.png")
        np.save(tmp_path / f"{row}.clip.npy", draw.integers(0, 256, (row % 5, 4, 6, 3), np.uint8))
        np.save(tmp_path / f"{row}.npy", draw.normal(size=(row % 17, 3)).astype(np.float32))
        soundfile.write(tmp_path / f"{row}.wav", draw.normal(size=90 * row) / 9, 8000, "FLOAT")
        (tmp_path / f"{row}.txt").write_text("ab" * (row % 4))
        cells = [f"{row}.txt", f"{row}.png", f"{row}.clip.npy", f"{row}.wav", f"{row}.npy"]
        cells = ["" if (row + index) % 3 == 0 else cell for index, cell in enumerate(cells)]
        lines.append(",".join([*cells, str(row), "left", str(row % 3)]))
    (tmp_path / "rows.csv").write_text(
        "\n".join([",".join([*NAMES[:5], "age,side,label"]), *lines])
    )
    return tmp_path / "rows.csv"


def encoded(path: Path, *names: str, **other: Any) -> Dataset:
    """The manifest's rows, or some of their modalities."""
    case = spec(*(names or NAMES), **other)
    return dataset.encode(registry.load(str(path), case), case)


def equal(one: Dataset, other: Dataset) -> bool:
    """Whether every batch of them would be."""
    rows = np.arange(len(one.held_out))
    for name, first in one.modalities.items():
        second, shown = other.modalities[name], np.ones(len(rows), bool)
        pairs = zip(first.take(rows, shown), second.take(rows, shown), strict=True)
        if not all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs):
            return False
    return one.fingerprint() == other.fingerprint() and one.notes == other.notes


def ignored(done: int, total: int) -> None:
    """Told, and not kept."""


def unused(*arguments: object) -> Any:
    """In the place of what must not be called."""
    raise AssertionError(arguments)


def test_what_workers_encode_and_a_file_keeps_is_what_this_process_encodes(
    manifest: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "count", lambda: 2)
    shared = encoded(manifest)
    assert len(held(cache)) == 5
    monkeypatch.setattr(workers, "Crew", unused)
    monkeypatch.setattr(files, "image", unused)
    again = encoded(manifest)
    monkeypatch.undo()
    monkeypatch.setattr(store, "found", unused)
    plain = encoded(manifest)
    assert equal(shared, plain) and equal(again, plain)
    assert any(each.pages for each in again.modalities.values())
    assert not any(each.pages for each in plain.modalities.values())


def held(cache: Path) -> list[Path]:
    """The files that are kept."""
    return list(cache.iterdir()) if cache.is_dir() else []


def only(cache: Path) -> Path:
    """The one file that is kept."""
    (path,) = held(cache)
    return path


@pytest.mark.parametrize("how", ["bits", "cut", "longer", "empty"])
def test_a_damaged_file_is_made_anew(manifest: Path, cache: Path, how: str) -> None:
    right = encoded(manifest, "image")
    path = only(cache)
    content, draw = path.read_bytes(), np.random.default_rng(5)
    used, size = ROWS * 3 * 4 * 8, len(content)
    places = [0, used - 1, *draw.integers(0, used, 5).tolist(), *range(size - 90, size, 7)]
    for place in places if how == "bits" else draw.integers(1, size, 5).tolist():
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(draw.integers(8))
        others = {"cut": content[:place], "longer": content + b"x", "empty": b""}
        put(path, others.get(how, bytes(flipped)))
        assert store.found(path.name, ignored) is None
        assert not path.exists()
    put(path, content[:-1])
    assert equal(encoded(manifest, "image"), right)
    assert path.read_bytes() == content


def put(path: Path, content: bytes) -> None:
    """Another file in the place of one that is mapped."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)


def test_a_file_that_others_may_write_or_a_link_is_not_believed(
    manifest: Path, cache: Path, tmp_path: Path
) -> None:
    right = encoded(manifest, "image")
    path = only(cache)
    assert path.stat().st_mode & 0o777 == 0o600 and cache.stat().st_mode & 0o777 == 0o700
    path.chmod(0o666)
    assert store.found(path.name, ignored) is None
    path.chmod(0o600)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert store.found(path.name, ignored) is None
    assert equal(encoded(manifest, "image"), right)
    assert path.is_file() and not path.is_symlink()


@pytest.mark.parametrize("kind", ["picture", "cell", "spec"])
def test_what_has_changed_is_encoded_anew(manifest: Path, cache: Path, kind: str) -> None:
    before, other = encoded(manifest, "image"), dict[str, str]()
    path = manifest.with_name("1.png")
    if kind == "picture":
        state, length = path.stat(), len(path.read_bytes())
        for value in range(200):
            Image.fromarray(np.full((9, 7, 3), value, np.uint8)).save(path)
            path.write_bytes(path.read_bytes().ljust(length, b"\0")[:length])
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
            if path.stat().st_size == state.st_size:
                break
        assert path.stat().st_mtime_ns == state.st_mtime_ns
    elif kind == "cell":
        manifest.write_text(manifest.read_text().replace("1.png", "2.png"))
    else:
        other["image"] = "{kind: image, size: [8, 4], channels: 3, patch: 4, optional: true}"
    after = encoded(manifest, "image", other=other)
    assert not np.array_equal(before.modalities["image"].values, after.modalities["image"].values)
    assert len(held(cache)) == 2


def test_what_changes_while_it_is_read_is_not_kept(
    manifest: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = store._write

    def slowly(*arguments: Any) -> Any:
        done = write(*arguments)
        manifest.with_name("1.png").touch()
        return done

    monkeypatch.setattr(store, "_write", slowly)
    right = encoded(manifest, "image")
    assert not held(cache)
    monkeypatch.undo()
    assert equal(right, encoded(manifest, "image"))


def test_what_lies_under_another_spelling_is_read_each_time(tmp_path: Path, cache: Path) -> None:
    names = ["e\u0301.png", "plain.png"]
    for name in names:
        Image.fromarray(np.full((4, 8, 3), 9, np.uint8)).save(tmp_path / name)
    (tmp_path / "rows.csv").write_text("image,label,split\n\u00e9.png,0,train\nplain.png,1,test")
    first = encoded(tmp_path / "rows.csv", "image")
    assert not held(cache)
    Image.fromarray(np.full((4, 8, 3), 8, np.uint8)).save(tmp_path / names[0])
    second = encoded(tmp_path / "rows.csv", "image")
    assert [int(each.modalities["image"].values[0].max()) for each in (first, second)] == [9, 8]


def problems(path: Path, *names: str) -> list[str]:
    """What is wrong with the rows."""
    with pytest.raises(MmspecError) as error:
        encoded(path, *names, required=True)
    return [str(each) for each in error.value.diagnostics]


@pytest.mark.parametrize("bad", [(3, 4, 40), range(0, 41, 4), range(41)])
def test_workers_tell_of_the_same_rows_as_this_process_does(
    bad: Any, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "_ROWS", 6)
    monkeypatch.setattr(workers, "count", lambda: 2)
    rows = ["image,label"]
    for row in range(ROWS):
        Image.fromarray(np.full((9, 7), row, np.uint8)).save(tmp_path / f"{row}.png")
        rows.append(f"{'missing' if row in bad else row}.png,0")
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    shared = problems(tmp_path / "rows.csv", "image")
    assert len(shared) == min(10, len(bad)) and not held(cache)
    assert f"rows.csv:{min(bad) + 2}, column `image`" in shared[0]
    assert ("there may be more" in shared[-1]) == (len(bad) >= 10)
    monkeypatch.setattr(workers, "count", lambda: 0)
    assert problems(tmp_path / "rows.csv", "image") == shared


def test_the_row_that_ends_a_worker_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "count", lambda: 2)
    paths = [tmp_path / f"{name}.bin" for name in ("one", "kill", "three", "exit", "five")]
    for path in paths:
        path.write_bytes(b"1234")
    cells = [str(path) for path in paths]
    task, faults = encoding.Task("image", str), Faults()
    values = Opened(cells, ends, named)
    seen = encoding.survey(values, "", 0)
    with pytest.raises(MmspecError) as error:
        list(encoding.encoded(task, values, list("abcde"), faults, silent, seen))
    first, second = error.value.diagnostics
    assert first.code == second.code == "MM501"
    assert "kill.bin` ends the process that reads it (signal 9)" in first.message
    assert (first.where, second.where) == ("b, column `image`", "d, column `image`")
    assert "exit.bin` ends the process that reads it (exit code 7)" in second.message


def test_work_comes_back_in_order_and_little_is_ahead() -> None:
    taken: list[float] = []

    def pieces() -> Any:
        for index in range(20):
            taken.append(index)
            yield (20 - index) / 400

    with closing(workers.Crew(3)) as crew:
        for number, (piece, result) in enumerate(crew.map(slow, pieces())):
            assert piece == result == (20 - number) / 400
            assert len(taken) <= number + 8


@pytest.mark.parametrize("size", [0, 2])
def test_how_far_it_is_is_told(size: int, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "count", lambda: size)
    told: list[tuple[str, int, int]] = []
    case = spec("image", "text")
    source = registry.load(str(manifest), case)
    dataset.encode(source, case, lambda *progress: told.append(progress))
    names = ("image", "text", "label")
    assert told == [(f"reading {name}", done, ROWS) for name in names for done in (32, ROWS)]
    told.clear()
    dataset.encode(source, case, lambda *progress: told.append(progress))
    assert {what for what, *_ in told} >= {"checking what is kept of image, in MB"}
    assert not any(what.startswith("reading image") for what, *_ in told)


@pytest.mark.parametrize("most", [0, 1])
def test_fewer_processes_do_where_there_is_no_room_for_more(
    most: int, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, start, started = encoded(manifest, "image"), workers._Worker, list[Any]()

    def limited() -> Any:
        if len(started) >= most:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(start())
        return started[-1]

    monkeypatch.setattr(workers, "count", lambda: 3)
    monkeypatch.setattr(workers, "_Worker", limited)
    monkeypatch.setenv("MMSPEC_CACHE", str(manifest.with_name("another")))
    assert equal(encoded(manifest, "image"), right)
    assert len(started) == most


def test_what_goes_wrong_in_a_worker_is_raised_here() -> None:
    with (
        closing(workers.Crew(1)) as crew,
        pytest.raises(RuntimeError, match="could not convert string"),
    ):
        list(crew.map(slow, ["no number"]))


def test_a_killed_caller_leaves_no_worker() -> None:
    code = (
        "import sys; sys.path.append(sys.argv[1]); from data_case import slow;"
        "from mmspec.data import workers; crew = workers.Crew(2);"
        "print(*(each._process.pid for each in crew._all), flush=True);"
        "list(crew.map(slow, [0.1] * 9999))"
    )
    given = [sys.executable, "-c", code, str(Path(__file__).parent)]
    with subprocess.Popen(given, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout
        running = [int(word) for word in caller.stdout.readline().split()]
        caller.kill()
    deadline = time.monotonic() + 30
    while any(is_running(pid) for pid in running) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(running) == 2 and not any(is_running(pid) for pid in running)


def is_running(pid: int) -> bool:
    """Whether a process lives."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_without_a_cache_a_file_without_a_name_will_do(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = encoded(manifest, "image")
    (tmp_path / "file").touch()
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(store, "_SPOOLED", 100)
    (tmp_path / "temporary").mkdir()
    found = encoded(manifest, "image")
    assert found.modalities["image"].pages is not None and equal(found, right)
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("most", [0, 4000, 1 << 20])
def test_rows_given_in_python_go_to_a_file_where_they_are_large(
    most: int, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(9)
    images = [draw.integers(0, 256, (4, 8, 3), np.uint8) for _ in range(ROWS)]
    texts = ["ab" * (row % 4) or None for row in range(ROWS)]
    rows = source([1] * 9, image=images, text=texts, label=[0] * ROWS)
    right = dataset.encode(rows, spec("image", "text"))
    monkeypatch.setattr(store, "_SPOOLED", most)
    found = dataset.encode(rows, spec("image", "text"))
    assert equal(found, right) and not held(cache)
    assert (found.modalities["image"].pages is not None) == (most < 1 << 20)
    assert np.array_equal(found.modalities["image"].values[7], images[7].transpose(2, 0, 1))


def test_a_full_disk_is_told_and_leaves_nothing(
    manifest: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_write", full)
    with pytest.raises(MmspecError, match=r"MM603.*no space left on device.*MMSPEC_CACHE"):
        encoded(manifest, "image")
    assert not held(cache)


def test_what_was_not_used_for_longest_goes_first(
    manifest: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded(manifest, "image")
    image = only(cache)
    encoded(manifest, "motion")
    (motion,) = {*held(cache)} - {image}
    for name, age in ((".abc.1.1", 7200), (".def.1.1", 60)):
        (cache / name).write_bytes(b"half")
        os.utime(cache / name, (time.time() - age, time.time() - age))
    for path, age in ((image, 900), (motion, 1000)):
        os.utime(path, (time.time() - age, time.time() - age))
    encoded(manifest, "motion")
    monkeypatch.setattr(store, "MOST", motion.stat().st_size + 4)
    encoded(manifest, "audio")
    names = {path.name for path in held(cache)}
    assert motion.name in names and ".def.1.1" in names and len(names) == 3
    assert image.name not in names and ".abc.1.1" not in names
