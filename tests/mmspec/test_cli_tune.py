"""`mmspec tune`: what is printed fits the screen and says what to do; bad input is explained."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmspec.cli import exits
from mmspec.cli.main import main

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "specs").glob("*.yaml"))

SPEC = """
mmspec: 1
name: rooms
dims: {d: 64}
modalities:
  text: {kind: tokens, vocab: 256, length: {max: 1048576}, position: rotary}
  image: {kind: image, size: [240, 208], patch: 4}
  audio: {kind: audio, features: 5, rate: 100 Hz, length: {max: 3001}}
streams:
  text:
    from: text
    depth: 1
    width: d
    heads: 4
    attention:
      - {heads: 2, mask: causal & window(before=511) | global(4)}
      - {heads: 1, mask: block(100)}
      - {heads: 1, mask: full}
  image: {from: image, depth: 1, width: d, heads: 4, attention: window2d(7)}
  audio: {from: audio, depth: 1, width: d, heads: 4, attention: "dilated(step=4, reach=512)"}
  joint:
    from: {fusion: cross-attention, of: [text, image, audio], attention: prefix(70)}
    depth: 1
    width: d
    heads: 4
    attention: causal
heads:
  next: {from: joint, kind: classifier, classes: 3}
"""


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "rooms.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return str(path)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["tune", *arguments]) == exits.FINE
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_fits_the_screen(
    path: Path,
    width: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = printed(capsys, str(path))
    assert all(len(line) <= width for line in text.splitlines())
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("width", [80, 120])
def test_long_segments_of_every_kind_fit_too(
    spec: str,
    width: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = printed(capsys, spec)
    assert max(map(len, text.splitlines())) <= width
    for said in (
        "heads 0 to 1 of 4",
        "block(size=128) is exact",
        "64 × 64 (8 × 8)",
        "classes of step 4",
        "cross-attention of the fusion",
        "every query sees every key",
    ):
        assert said in " ".join(text.split()), said


def test_the_figures_of_the_json_are_those_of_the_text(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, spec, "--lengths", "text=4096")
    figures = json.loads(printed(capsys, spec, "--lengths", "text=4096", "--json"))
    assert figures["tokens"] == {"text": 4096, "image": 60 * 52, "audio": 3001}
    shown = [int(x.replace(",", "")) for x in re.findall(r"([\d,]+) pairs visible", text)]
    assert [one["visible"] for one in figures["attentions"]] == shown
    rows = [row for one in figures["attentions"] for row in one["tiles"]]
    counts = {(row["order"], row["touched"], row["inside"]) for row in rows}
    found = re.findall(r"^  [ >] (\S.*?)  +\d+ × \d+(?: \(.*?\))? +([\d,]+) +([\d,]+)", text, re.M)
    assert len(found) > 15
    for order, *numbers in found:
        assert (order, *(int(x.replace(",", "")) for x in numbers)) in counts


def test_sentences_say_what_a_change_saves(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One head is no range, the same tiles cost the same, thousands of per cent are grouped."""
    text = " ".join(printed(capsys, spec).split())
    assert "text: self-attention, head 2 of 4 " in text
    other = tmp_path / "other.yaml"
    causal = "attention: causal & window(before=110)"
    other.write_text(SPEC.replace("attention: causal\n", f"{causal}\n"), encoding="utf-8")
    text = " ".join(printed(capsys, str(other)).split())
    assert "wastes less: causal & window(before=128, after=0)" in text
    assert "16.2 % more pairs in the same tiles" in text
    other.write_text(SPEC.replace("block(100)", "prefix(3)"), encoding="utf-8")
    text = " ".join(printed(capsys, str(other)).split())
    assert "prefix(length=64) is exact; 2,033 % more pairs" in text


def test_what_a_user_should_do_about_blocks_is_in_the_json(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = json.loads(printed(capsys, spec, "--json"))
    blocks = next(one for one in figures["attentions"] if one["heads"] == [2])
    (pair,) = blocks["advice"]["pairs"]
    (change,) = pair["changes"]
    assert (change["why"], change["mask"]) == ("exact", "block(size=128)")
    assert change["more_pairs"] == pytest.approx(0.28, abs=1e-3)
    assert change["wasted"] == 0


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ("text", "`text` is no length"),
        ("text=", "`text=` is no length"),
        ("text=many", "`text=many` is no length"),
        ("text=-3", "`text=-3` is no length"),
        ("text=²", "`text=²` is no length"),
        ("=5", "no modality is called ``"),
        ("txet=5", "no modality is called `txet`"),
        ("text=5,text=6", "the length of `text` is given twice"),
        ("text=1048577", "`text` is at most 1,048,576 long"),
        ("image=2", "`image` is there (1) or absent (0)"),
        ("text=" + 5000 * "9", "`text` is at most"),
    ],
)
def test_lengths_that_no_sample_has_are_explained(
    spec: str, lengths: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", spec, "--lengths", lengths]) == exits.USAGE
    captured = capsys.readouterr()
    assert "error[MM618]" in captured.err
    assert words in captured.err
    assert captured.out == ""
    assert main(["tune", spec, "--lengths", lengths, "--json"]) == exits.USAGE
    assert json.loads(capsys.readouterr().out)["errors"][0]["code"] == "MM618"


@pytest.mark.parametrize("lengths", ["text=0", "image=0,text=1", "audio=1, text=7", ","])
def test_short_and_absent_modalities_are_no_trouble(
    spec: str, lengths: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "self-attention" in printed(capsys, spec, "--lengths", lengths)
    json.loads(printed(capsys, spec, "--lengths", lengths, "--json"))


def test_a_spec_that_is_not_there_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "nowhere.yaml"]) == exits.USAGE
    assert "nowhere.yaml" in capsys.readouterr().err


def test_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; from mmspec.cli.main import main; main(['tune', 'specs/sliding.yaml']);"
        "print(sorted({'torch', 'triton', 'sympy', 'hypothesis'} & set(sys.modules)))"
    )
    done: Any = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_pairs_that_are_not_counted_are_said_to_be_none_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is too long to be counted is left out of the advice and of the picture, and said."""
    path = tmp_path / "long.yaml"
    path.write_text(
        "mmspec: 1\nname: long\n"
        "modalities: {text: {kind: tokens, vocab: 9, length: {max: 2147483647}}}\n"
        "streams: {s: {from: text, depth: 1, width: 8, heads: 2, attention: random(2)}}\n"
        "heads: {y: {from: s, kind: classifier, classes: 3}}\n"
    )
    reason = "33,554,432 blocks of queries draw 67,108,864 random blocks"
    for command in (["tune", str(path)], ["show", str(path), "--mask", "s"]):
        assert main([*command, "--json"]) == 0
        figures = json.loads(capsys.readouterr().out)
        (one,) = figures.get("attentions") or figures["pictures"]
        assert one["visible"] is None and one["density"] is None
        assert one["not_counted"].startswith(reason)
        assert main(command) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "not counted: " + reason in shown
