"""The built-in sets: what they hold, how they are split, and what is said where they are not."""

from __future__ import annotations

import codecs
import os
import pickle
from collections import Counter
from importlib.machinery import ModuleSpec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from mmspec.data import (
    cache,
    fetch,
    installed,
    openmoji,
    registry,
    split,
    stamps,
    topics,
    unpickle,
    watch,
)
from mmspec.data.baselines import baselines
from mmspec.data.source import Source, Waveform
from mmspec.diagnostics import MmspecError

SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="4cm" height="2cm">
<rect width="99" height="9"/></svg>"""


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_openmoji_is_what_was_measured() -> None:
    """1,898 pairs, nine groups, the largest a fifth: figures of the survey of data sets."""
    source = openmoji.load()
    labels = source.columns["label"]
    assert len(labels) == 1898
    assert len(set(map(str, labels))) == 9
    assert int(source.held_out.sum()) == 380
    held = Counter(str(labels[row]) for row in np.flatnonzero(source.held_out).tolist())
    assert held.most_common(1)[0][1] / 380 == pytest.approx(0.203, abs=0.005)
    images = np.stack([np.asarray(image) for image in source.columns["image"]])
    assert images.shape == (1898, 64, 64, 3)
    assert ((images != 255).sum(axis=(1, 2, 3)) > 100).all()


def test_topics_is_the_text_of_the_help() -> None:
    source = topics.load()
    text = "".join(map(str, source.columns["text"]))
    assert '"import" statement' in text
    assert not source.held_out[: len(source.held_out) * 8 // 10].any()
    assert source.held_out.mean() == pytest.approx(0.1, abs=0.01)


def _recordings(path: Path) -> None:
    """A file laid out as seglearn's: four recordings of two people, 50 values a second."""
    signals = [np.full((50 * seconds, 6), seconds, np.float64) for seconds in (2, 3, 5, 4)]
    content = {
        "X": signals,
        "y": np.array([0, 1, 1, 0]),
        "y_labels": ["PEN", "ABD"],
        "subject": np.array([1, 3, 4, 2]),
        "side": np.array([0.0, 1.0, 1.0, 0.0]),
        "X_labels": ["ax", "ay", "az", "wx", "wy", "wz"],
    }
    np.save(path, np.array(content, dtype=object), allow_pickle=True)


def test_watch_cuts_windows_and_holds_people_out(tmp_path: Path) -> None:
    _recordings(tmp_path / "watch.npy")
    source = watch.windows((tmp_path / "watch.npy").read_bytes())
    assert source.columns["label"] == ["PEN"] * 1 + ["ABD"] * 2 + ["ABD"] * 4 + ["PEN"] * 3
    assert source.held_out.tolist() == [True] + [False] * 6 + [True] * 3
    assert np.asarray(source.columns["gyroscope"][3]).shape == (100, 3)
    assert source.columns["side"][1] == {"side": 1}
    assert source.rows[2] == "watch 1 at 1 s"


def test_watch_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: ModuleSpec | None = None
    monkeypatch.setattr(installed, "find_spec", lambda name: nothing)
    with pytest.raises(MmspecError) as caught:
        watch.load()
    assert caught.value.diagnostics[0].code == "MM512"
    assert "pip install --no-deps seglearn==1.2.5" in caught.value.diagnostics[0].help


@pytest.mark.parametrize("size", [10, watch.SIZE])
def test_watch_reads_no_other_file(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of that name may be anybody's: its pickle is not even looked at."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "watch_dataset.npy").write_bytes(bytes(size))
    there = ModuleSpec("seglearn", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(installed, "find_spec", lambda name: there)
    monkeypatch.setattr(unpickle, "array", lambda content: pytest.fail("it was read"))
    with pytest.raises(MmspecError) as caught:
        watch.load()
    (problem,) = caught.value.diagnostics
    assert problem.code == "MM501" and "is not the file of seglearn 1.2.5" in problem.message


class Call:
    """Pickled as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.called = (function, arguments)

    def __reduce__(self) -> Any:
        """The call."""
        return self.called


@pytest.mark.parametrize(
    "call",
    [
        Call(os.mkdir, "made"),
        Call(eval, "__import__('os').mkdir('made')"),
        Call(getattr, "a", "upper"),
        Call(np.fromfile, "watch.npy"),
        Call(codecs.encode, "a", "rot13"),
        Call(Path, "made"),
        {"X": [Call(os.mkdir, "made")]},
    ],
)
def test_a_pickle_of_anything_but_arrays_is_refused(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("watch.npy", np.array(call, object), allow_pickle=True)
    with pytest.raises(ValueError, match="it asks for"):
        unpickle.array(Path("watch.npy").read_bytes())
    assert os.listdir() == ["watch.npy"]


@pytest.mark.parametrize("content", [b"", b"x" * 99, b"\x93NUMPY\1\0\2\0{}" + b"."])
def test_a_damaged_pickle_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"no \.npy file|damaged"):
        unpickle.array(content)


@pytest.mark.parametrize("protocol", range(5))
def test_arrays_of_every_protocol_are_read(protocol: int) -> None:
    given = {"X": [np.arange(3.0), np.array(["a", "b"])], "n": 3, "s": "text"}
    out = BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "|O", "fortran_order": False, "shape": ()})
    pickle.dump(np.array(given, object), out, protocol)
    found = unpickle.array(out.getvalue())
    assert found["X"][0].tolist() == [0, 1, 2] and found["X"][1].tolist() == ["a", "b"]
    assert (found["n"], found["s"]) == (3, "text")


def _stamp(folder: Path, name: str, english: str, drawn: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [english, "af.utf8=nee", f"fr.utf8=Un {english}"]
    (folder / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    if drawn:
        (folder / f"{name}.svg").write_text(SVG)
    else:
        Image.new("RGBA", (90, 30), (200, 0, 0, 255)).save(folder / f"{name}.png")
    samples = np.sin(np.arange(8000) / 8)
    soundfile.write(folder / f"{name}_desc_fr.ogg", samples, 8000, format="OGG", subtype="VORBIS")


def test_stamps_of_a_folder_laid_out_as_the_package(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamps, "FEWEST", 2)
    for index in range(5):
        _stamp(
            tmp_path / "s" / "animals" / "birds", f"duck{index}", f"duck {index // 2}", index == 3
        )
    _stamp(tmp_path / "s" / "town", "lonely", "house")
    _stamp(tmp_path / "s" / "animals", "cow_mirror", "cow")
    source = stamps.read(tmp_path / "s")
    assert source.columns["label"] == ["animals"] * 5
    assert source.columns["text"][4] == "Un duck 2"
    image = np.asarray(source.columns["image"][0])
    assert image[32, 32].tolist() == [200, 0, 0] and image[0, 0].tolist() == [255, 255, 255]
    sound = source.columns["audio"][0]
    assert isinstance(sound, Waveform)
    assert sound.rate == 16_000 and len(sound.samples) == 16_000
    loudest = np.abs(np.fft.rfft(sound.samples[:])).argmax()
    assert loudest == pytest.approx(8000 / 8 / 2 / np.pi, abs=1)
    assert source.held_out[0] == source.held_out[1]
    again = stamps.read(tmp_path / "s")
    assert np.array_equal(
        np.asarray(again.columns["image"][3]), np.asarray(source.columns["image"][3])
    )


def test_stamps_that_were_not_fetched_say_how(own_cache: Path) -> None:
    with pytest.raises(MmspecError) as caught:
        registry.builtin("stamps")
    assert caught.value.diagnostics[0].code == "MM513"
    assert "make stamps" in caught.value.diagnostics[0].help


def test_fetching_without_apt_says_what_to_do_by_hand(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert fetch.main(["stamps"]) == 2
    said = capsys.readouterr().err
    assert "apt-get is not on this machine" in said and "apt-get download" in said
    assert not (own_cache / "stamps").exists()


def test_a_folder_that_was_unpacked_by_hand_takes_the_place_of_the_set(
    tmp_path: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("first", "second"):
        _stamp(tmp_path / name / stamps.INSIDE / "animals", name, "duck")
        assert fetch.main(["stamps", str(tmp_path / name)]) == 0
        kept = stamps.folder() / stamps.INSIDE / "animals"
        assert [path.stem for path in kept.glob("*.png")] == [name]
    (tmp_path / "other").mkdir()
    assert fetch.main(["stamps", str(tmp_path / "other")]) == 2
    assert "MM513" in capsys.readouterr().err
    assert kept.is_dir()
    assert [path.name for path in own_cache.iterdir()] == ["stamps"]


def test_a_cache_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MMSPEC_CACHE", str(tmp_path / "file" / "cache"))
    assert fetch.main(["stamps"]) == 2
    assert "MM603" in capsys.readouterr().err
    assert cache.arrays("made", lambda: {"a": np.arange(3)})["a"].tolist() == [0, 1, 2]


def test_a_cache_that_others_may_write_to_is_left_as_it_is(
    tmp_path: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _stamp(tmp_path / "set" / stamps.INSIDE / "animals", "first", "duck")
    own_cache.mkdir()
    own_cache.chmod(0o777)
    assert fetch.main(["stamps", str(tmp_path / "set")]) == 2
    assert "MM603" in capsys.readouterr().err
    assert not [*own_cache.iterdir()]


def test_a_damaged_cache_is_made_anew(own_cache: Path) -> None:
    made: list[int] = []

    def make() -> dict[str, Any]:
        made.append(1)
        return {"a": np.arange(1000)}

    for cut in (None, None, 2000, 10, 0):
        if cut is not None:
            path = own_cache / "made.npz"
            path.write_bytes(path.read_bytes()[:cut])
        assert cache.arrays("made", make)["a"].sum() == 499_500
    assert len(made) == 4
    assert [path.name for path in own_cache.iterdir()] == ["made.npz"]


@pytest.mark.parametrize("index", range(40))
def test_a_cache_with_any_bit_changed_is_made_anew(own_cache: Path, index: int) -> None:
    cache.arrays("made", lambda: {"a": np.arange(30)})
    path = own_cache / "made.npz"
    content = bytearray(path.read_bytes())
    content[index * 13 % len(content)] ^= 1 << index % 8
    path.write_bytes(content)
    assert cache.arrays("made", lambda: {"b": np.arange(3)})["b"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", ["pipe", "link", "others"])
def test_a_cache_that_is_no_file_of_ours_is_done_without(own_cache: Path, kind: str) -> None:
    own_cache.mkdir(mode=0o700)
    path = own_cache / "made.npz"
    cache.arrays("elsewhere", lambda: {"a": np.arange(9)})
    elsewhere = own_cache / "elsewhere.npz"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(elsewhere)
    else:
        path.write_bytes(elsewhere.read_bytes())
        path.chmod(0o666)
    assert cache.arrays("made", lambda: {"a": np.arange(3)})["a"].tolist() == [0, 1, 2]


def test_rows_that_share_a_name_are_in_one_group() -> None:
    english = ["a", "b", "c", "d", "a", "e"]
    french = ["1", "2", "2", "3", "4", "4"]
    assert split.linked(english, french) == ["a", "b", "b", "d", "a", "a"]


def test_folds_spread_every_label_and_keep_groups_together() -> None:
    labels = ["a"] * 50 + ["b"] * 25 + ["c"] * 7
    found = split.folds(labels)
    for label, most in (("a", 10), ("b", 5), ("c", 2)):
        counts = Counter(found[[i for i, x in enumerate(labels) if x == label]].tolist())
        assert max(counts.values()) == most
    groups = [str(index // 3) for index in range(600)]
    grouped = split.grouped_folds(groups)
    assert all(len(set(grouped[i : i + 3].tolist())) == 1 for i in range(0, 600, 3))
    assert (grouped == 0).mean() == pytest.approx(0.2, abs=0.06)


def test_baselines_learn_what_can_be_learnt(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text says the label, the picture says nothing."""
    random = np.random.default_rng(0)
    labels = ["dog" if index % 3 else "cat" for index in range(90)]
    texts = [f"a {label} that is number {index}" for index, label in enumerate(labels)]
    images = [random.integers(0, 255, (64, 64, 3), np.uint8) for _ in labels]
    held_out = np.arange(90) % 5 == 0
    columns: dict[str, Any] = {"image": images, "text": texts, "label": labels}
    rows = [str(index) for index in range(90)]
    source = Source("openmoji", columns, held_out, rows, "made")
    monkeypatch.setattr("mmspec.data.baselines._COMPONENTS", 16)
    found = baselines(source)
    assert list(found) == ["majority", "image", "text", "image, text"]
    assert found["majority"] == pytest.approx(12 / 18)
    assert found["text"] == 1.0 > found["image"]
    assert baselines(source) == found


def test_baselines_are_not_fitted_to_what_is_not_finite(own_cache: Path) -> None:
    count = 12
    windows = [np.full((6, 3), index, np.float32) for index in range(count)]
    windows[7][2, 1] = np.nan
    sides = [{"side": index % 2} for index in range(count)]
    labels = [str(index % 2) for index in range(count)]
    columns: dict[str, Any] = {"accelerometer": windows, "gyroscope": windows, "side": sides}
    rows = [f"watch {index}" for index in range(count)]
    source = Source("watch", columns | {"label": labels}, np.arange(count) < 4, rows, "gap")
    with pytest.raises(MmspecError) as error:
        baselines(source)
    assert [(d.code, d.where) for d in error.value.diagnostics] == [
        ("MM506", "watch 7, column `accelerometer`")
    ]


def test_a_damaged_stamp_is_told(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamps, "FEWEST", 1)
    _stamp(tmp_path / "s" / "animals", "duck", "duck")
    (tmp_path / "s" / "animals" / "duck.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(MmspecError, match="MM501") as error:
        stamps.read(tmp_path / "s")
    assert "duck.png" in str(error.value)


def test_openmoji_of_another_layout_is_told(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "emoji.json").write_text('[{"category": "Objects"}]')
    monkeypatch.setattr(installed, "file", lambda *names: tmp_path / "emoji.json")
    with pytest.raises(MmspecError, match="MM501"):
        openmoji.load()
