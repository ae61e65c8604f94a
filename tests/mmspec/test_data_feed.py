"""The batches of a run: from the step alone, with modalities hidden and samples varied."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_case import KINDS, spec
from data_case import source as made
from training_job import Quiet

import mmspec
from mmspec.compiler import driver
from mmspec.compiler.load import load
from mmspec.data import batches, dataset, recipe
from mmspec.data.source import Source
from mmspec.diagnostics import MmspecError
from mmspec.schema.spec import Spec
from mmspec.train import loop, record
from mmspec.train.data import EncodedFeed, open_feed
from mmspec.train.feed import Inputs
from mmspec.train.job import Job
from mmspec.train.settings import Settings

TRAIN, HELD_OUT = 23, 7
IMAGE = np.arange(32, dtype=np.uint8).reshape(4, 8)


def settings(**given: Any) -> Settings:
    """Settings of a small run."""
    values: dict[str, Any] = {"batch": 5, "seed": 3, "drop_modality": 0.5} | given
    return Settings(spec="case", data="made", out="", **values)


def rows() -> Source:
    """30 rows whose text is their number; the image is there in two of three, motion in some."""
    total = TRAIN + HELD_OUT
    motion = [np.full((1 + i % 4, 3), i, np.float32) if i % 2 else None for i in range(total)]
    image = [None if i % 3 == 0 else IMAGE for i in range(total)]
    columns: dict[str, list[Any]] = {
        "text": [str(i) for i in range(total)],
        "image": image,
        "motion": motion,
    }
    return made([1] * HELD_OUT, **columns, label=[i % 3 if i else None for i in range(total)])


def feed(spec: Spec, source: Source, **given: Any) -> EncodedFeed:
    """The feed of a source."""
    return EncodedFeed(dataset.encode(source, spec), spec, settings(**given))


def usual(**given: Any) -> EncodedFeed:
    """The feed of the 30 rows."""
    return feed(spec("text", "image", "motion"), rows(), **given)


def flat(inputs: Inputs) -> list[tuple[str, Any]]:
    """Everything in a batch, to compare."""
    parts = inputs.modalities | inputs.lengths | inputs.targets
    return [(name, None if x is None else x.tolist()) for name, x in parts.items()]


def numbers(inputs: Inputs) -> list[int]:
    """The numbers of the rows in a batch."""
    text, length = inputs.modalities["text"], inputs.lengths["text"]
    assert text is not None
    return [int(bytes(t[:n].tolist())) for t, n in zip(text, length, strict=True)]


def test_a_batch_follows_from_its_step_alone() -> None:
    one, other = usual(augment=True), usual(augment=True)
    expected = flat(one.batch(7))
    for step in (3, 12, 1):
        other.batch(step)
    assert flat(other.batch(7)) == flat(one.batch(7)) == expected
    assert flat(usual(augment=True, seed=4).batch(7)) != expected


_PROCESS = """
import test_data_feed as case
feed = case.usual(augment=True)
print(feed.fingerprint, [case.flat(feed.batch(step)) for step in (2, 9)])
"""


def test_another_process_makes_the_same_batches() -> None:
    folder = Path(__file__).parent
    other = subprocess.run(
        [sys.executable, "-c", _PROCESS],
        env={"PYTHONPATH": f"{folder}:{folder.parents[1]}", "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    mine = usual(augment=True)
    batches = [flat(mine.batch(step)) for step in (2, 9)]
    assert other.stdout == f"{mine.fingerprint} {batches}\n"


def test_an_epoch_takes_each_row_once_and_no_held_out_row() -> None:
    plain = usual(drop_modality=0)
    taken = [numbers(plain.batch(step)) for step in range(1, 9)]
    for epoch in (taken[:4], taken[4:]):
        seen = [number for batch in epoch for number in batch]
        assert len(seen) == len(set(seen)) == 20
        assert max(seen) < TRAIN
    assert taken[:4] != taken[4:]


def test_a_batch_is_no_larger_than_the_training_rows() -> None:
    assert sorted(numbers(usual(batch=100, drop_modality=0).batch(3))) == list(range(TRAIN))


def test_hiding_is_as_frequent_as_asked_and_never_hides_all() -> None:
    present = np.array([[True, True, True], [True, False, True], [False, True, False]] * 2000)
    optional = np.array([True, True, False])
    shown = np.concatenate([batches.shown(present, optional, 0.3, 1, s) for s in range(3)])
    has = np.concatenate([present] * 3)
    assert not (shown & ~has).any()
    assert shown.any(1).all()
    assert shown[:, 2].sum() == has[:, 2].sum()
    assert abs(1 - shown[0::3, 0].mean() - 0.3) < 0.02
    assert shown[2::3, 1].all()


def test_each_step_hides_and_varies_anew() -> None:
    present, optional = np.ones((50, 2), bool), np.array([True, True])
    first, second = (batches.shown(present, optional, 0.5, 1, step) for step in (1, 2))
    assert (first != second).any()
    one, two = (batches.varying(1, step).random() for step in (1, 2))
    assert one != two


def test_when_all_would_be_hidden_either_may_stay() -> None:
    present, optional = np.ones((4000, 2), bool), np.array([True, True])
    shown = batches.shown(present, optional, 0.8, 1, 1)
    assert shown.any(1).all()
    both, first = shown.all(1).mean(), (shown[:, 0] & ~shown[:, 1]).mean()
    assert abs(both - 0.04) < 0.02
    assert abs(first - 0.48) < 0.04


def test_what_is_hidden_is_zero() -> None:
    hidden = 0
    for step in range(1, 9):
        inputs = usual(augment=True).batch(step)
        for name, values in inputs.modalities.items():
            assert values is not None
            gone = inputs.lengths[name] == 0
            hidden += int(gone.sum())
            assert not values[gone].any()
    assert hidden > 20


def test_held_out_samples_come_in_order_with_what_is_asked_for() -> None:
    found = list(usual().held_out(frozenset({"text", "image", "motion"}), 3))
    assert [numbers(inputs) for inputs in found] == [[23, 24, 25], [26, 27, 28], [29]]
    (only,) = usual().held_out(frozenset({"image"}), 64)
    assert only.modalities["text"] is None
    assert "text" not in only.lengths
    assert only.targets["label"].tolist() == [i % 3 for i in (23, 25, 26, 28, 29)]
    image = only.modalities["image"]
    assert image is not None
    expected = torch.from_numpy(IMAGE / np.float32(127.5) - 1)
    assert torch.equal(image, expected.expand(5, 3, 4, 8))


def test_unlabelled_rows_are_ignored() -> None:
    inputs = usual(batch=TRAIN, drop_modality=0).batch(1)
    order = numbers(inputs)
    assert inputs.targets["label"].tolist() == [i % 3 if i else -100 for i in order]


def test_a_modality_without_a_column_is_absent() -> None:
    source = made(text=["a", "b"], label=[0, 1])
    found = feed(spec("text", "image"), source)
    assert found.batch(1).modalities["image"] is None
    assert "image: not in the data" in found.notes
    with pytest.raises(MmspecError, match="MM503") as error:
        feed(spec("text", "image", required=True), source)
    assert "modalities.image" in str(error.value)


def test_rows_without_anything_are_left_out() -> None:
    source = made([1, 1], text=["a", None, "b", None, "c"], label=[0, 1, 2, 0, 1])
    found = feed(spec("text"), source, batch=9)
    assert (found.train_size, found.held_out_size) == (2, 1)
    assert sorted(found.batch(1).targets["label"].tolist()) == [0, 2]
    assert "left out: 2 of 5 rows without any modality (made 1, made 3)" in found.notes


def test_a_value_that_must_be_there() -> None:
    for text in (None, ""):
        source = made(text=["a", text, "b"], label=[0, 1, 2])
        with pytest.raises(MmspecError, match="MM504") as error:
            feed(spec("text", required=True), source)
        assert "made 1, column `text`" in str(error.value)


def test_a_regressor_needs_every_target() -> None:
    head = "size: {from: joint, kind: regressor, outputs: 2}"
    source = made(text=["a", "b", "c"], size=[[1, 2], None, "3 4"])
    with pytest.raises(MmspecError, match="MM504") as error:
        feed(spec("text", head=head), source)
    assert "made 1, column `size`" in str(error.value)


def test_names_of_classes_are_kept() -> None:
    found = feed(spec("text"), made(text=["a", "b", "c"], label=["dog", "ant", "dog"]))
    assert found.classes == {"label": ("ant", "dog")}
    (held_out,) = found.held_out(frozenset({"text"}), 9)
    assert held_out.targets["label"].tolist() == [1]


def test_categories_of_tables_are_kept() -> None:
    facts = [{"age": 1, "side": side} for side in ("right", "left", "left")]
    found = dataset.encode(made(facts=facts, label=[0, 1, 2]), spec("facts"))
    assert {m: {c: n.names for c, n in codes.items()} for m, codes in found.categories.items()} == {
        "facts": {"side": ("left", "right")}
    }


def test_samples_are_named_as_the_rows_that_they_are() -> None:
    taken = usual()
    inputs = taken.batch(4)
    text = inputs.modalities["text"]
    assert text is not None and len(inputs.rows) == len(text) == 5
    for name, ids in zip(inputs.rows, text.tolist(), strict=True):
        assert name == f"made {bytes(ids).decode().strip(chr(0))}" or not any(ids)
    given = list(taken.held_out(frozenset({"text"}), 4))
    assert [len(each.rows) for each in given] == [4, 3]
    assert given[0].rows == ("made 23", "made 24", "made 25", "made 26")
    assert given[0].to(torch.device("cpu")).rows == given[0].rows


def test_long_text_is_cut_and_said_so() -> None:
    found = feed(spec("text"), made(text=["a", "abcdefg"], label=[0, 0]))
    (held_out,) = found.held_out(frozenset({"text"}), 9)
    text = held_out.modalities["text"]
    assert text is not None
    assert bytes(text[0].tolist()) == b"abcde"
    assert "text: 1 of 2 rows cut to the longest allowed" in found.notes


def test_videos_are_cut_padded_and_light() -> None:
    clips = [np.full((n, 4, 6, 3), 255, np.uint8) for n in (2, 5, 1)]
    found = feed(spec("clip"), made([0, 1, 1], clip=clips, label=[0, 0, 0]))
    (held_out,) = found.held_out(frozenset({"clip"}), 9)
    clip = held_out.modalities["clip"]
    assert clip is not None and clip.shape == (2, 3, 3, 4, 6) and str(clip.dtype) == "torch.float32"
    assert held_out.lengths["clip"].tolist() == [3, 1]
    assert (clip[0] == 1).all() and (clip[1, :1] == 1).all() and not clip[1, 1:].any()
    assert "clip: 1 of 3 rows cut to the longest allowed" in found.notes


def test_a_language_model_learns_its_own_tokens() -> None:
    head = "next: {from: joint, kind: language-model}"
    both = spec("text", "image", head=head)
    source = made([1, 1], text=["x", "ab", "c"], image=[IMAGE] * 3)
    found = feed(both, source)
    (inputs,) = found.held_out(frozenset({"text", "image"}), 9)
    assert inputs.targets["next"].tolist() == [[97, 98], [99, -100]]
    (inputs,) = found.held_out(frozenset({"image"}), 9)
    assert inputs.targets == {}


def test_shifts_stay_within_a_sixteenth_and_repeat_the_border() -> None:
    columns = np.broadcast_to(np.arange(1.0, 33), (400, 1, 15, 32))
    moved = batches.shifted(columns, np.random.default_rng(0))
    assert (moved == moved[:, :, :1]).all()
    shifts = moved[:, 0, 0, 16] - 17
    assert sorted(set(shifts.tolist())) == [-2, -1, 0, 1, 2]
    right = moved[shifts == 2][0, 0, 0]
    assert right.tolist() == [*range(3, 33), 32, 32]


def test_rotations_keep_lengths_angles_and_hands() -> None:
    source = np.random.default_rng(5)
    turns = batches.rotations(500, source).astype(np.float64)
    assert np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max() < 1e-6
    assert np.abs(np.linalg.det(turns) - 1).max() < 1e-6
    angles = np.degrees(np.arccos((np.trace(turns, axis1=1, axis2=2) - 1) / 2))
    assert 15 < np.median(angles) < 25
    assert np.abs((turns - turns.transpose(0, 2, 1)).mean(0)).max() < 0.05


def test_all_sensors_of_a_sample_turn_together() -> None:
    six = "{kind: series, features: 6, rate: 50 Hz, length: {max: 9}, optional: true}"
    case = spec("motion", other={"pair": six})
    values = np.random.default_rng(1).normal(size=(9, 2, 3)).astype(np.float32)
    source = made(motion=list(values), pair=[np.tile(v, 2) for v in values], label=[0] * 9)
    found = feed(case, source, augment=True, drop_modality=0, batch=8).batch(1)
    motion, pair = found.modalities["motion"], found.modalities["pair"]
    assert motion is not None
    assert pair is not None
    assert torch.allclose(pair, motion.repeat(1, 1, 2), atol=1e-6)
    lengths = {round(float(np.linalg.norm(v)), 4) for v in values[:, 0]}
    assert {round(float(v.norm()), 4) for v in motion[:, 0]} <= lengths
    plain = feed(case, source, drop_modality=0, batch=8).batch(1).modalities["motion"]
    assert plain is not None
    assert not torch.allclose(plain, motion)


@pytest.mark.parametrize(
    "change",
    [
        lambda columns: columns["text"].__setitem__(2, "c"),
        lambda columns: columns["label"].__setitem__(2, 0),
        lambda columns: columns.update(motion=[np.zeros((1, 3))] * 3),
    ],
)
def test_the_fingerprint_changes_with_the_data(change: Callable[[Any], None]) -> None:
    columns: dict[str, Sequence[Any]] = {"text": ["a", "b", "x"], "label": [0, 1, 2]}
    before = feed(spec("text", "motion"), made(**columns)).fingerprint
    assert before == feed(spec("text", "motion"), made(**columns)).fingerprint
    assert before != feed(spec("text", "motion"), made([1, 1], **columns)).fingerprint
    change(columns)
    assert before != feed(spec("text", "motion"), made(**columns)).fingerprint


SMALL = """
mmspec: 1
name: small
modalities:
  text: {kind: tokens, vocab: 256, length: {max: 8}, optional: true}
  motion: %s
streams:
  joint: {from: [text, motion], depth: 1, width: 8, heads: 2}
heads:
  label: {from: joint, kind: classifier, classes: 2}
"""


def test_a_run_from_a_manifest_to_its_figures(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL % KINDS["motion"])
    lines = [
        f"{w} {i},{w},{'test' if i > 15 else 'train'}" for i in range(20) for w in ("up", "no")
    ]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label,split", *lines]))
    chosen = Settings(
        spec=str(path),
        data=str(tmp_path / "rows.csv"),
        out=str(tmp_path / "run"),
        steps=40,
        lr=0.02,
    )
    found = open_feed(mmspec.read(path), chosen)
    job = Job(mmspec.compile(path), mmspec.read(path), found, chosen)
    outcome = loop.train(job, Quiet())
    assert outcome.table["all present"]["label"]["accuracy"] == 1
    (tmp_path / "rows.csv").unlink()
    path.unlink()
    assert [named(tmp_path / "run", text) for text in ("up 3", "no 17")] == ["up", "no"]


def named(run: Path, text: str) -> str:
    """The name of a text's class, by the run's folder alone."""
    stored = record.read(run)
    model: Any = load(driver.emit(stored.spec))()
    model.load_state_dict(torch.load(run / "checkpoint.pt", weights_only=True)["model"])
    assert stored.content["inputs"]["text"]["encoding"] == {"tokenizer": "utf-8 bytes"}
    ids = torch.tensor([list(text.encode())])
    guess = model.eval()(text=ids).heads.label.argmax()
    return str(stored.content["outputs"]["label"]["labels"][guess])


def test_what_is_stored_of_each_kind_of_modality() -> None:
    other = {"ids": "{kind: tokens, vocab: 7, length: {max: 5}}"}
    case = spec(*KINDS, other=other)
    facts = [{"age": 1, "side": side} for side in ("right", "left", "left")]
    found = dataset.encode(made(facts=facts, ids=[[1]] * 3, label=["b", "a", "b"]), case)
    taken = recipe.inputs(case, found.categories)
    assert {name: each["encoding"] for name, each in taken.items()} == {
        "text": {"tokenizer": "utf-8 bytes"},
        "ids": {"tokenizer": "ids"},
        "image": {"values": [-1, 1], "transparent": "white", "resize": "stretch"},
        "clip": {"values": [-1, 1], "transparent": "white", "resize": "stretch"},
        "audio": {
            "recordings": "log-mel",
            "highest_hz": 8000.0,
            "shortest_window_seconds": 0.025,
            "floor_db": -80,
            "sine_of_full_scale": 1.0,
        },
        "motion": {"values": "as they are"},
        "facts": {"labels": {"side": ["left", "right"]}},
    }
    assert taken["audio"]["rate"] == "100 Hz" and taken["image"]["size"] == [4, 8]
    assert recipe.outputs(case, found.classes)["label"]["labels"] == ["a", "b"]
    assert recipe.outputs(case, {})["label"]["labels"] is None
    assert recipe.inputs(case, {})["facts"]["encoding"] == {"labels": {"side": None}}
