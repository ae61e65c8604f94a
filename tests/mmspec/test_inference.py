"""Runs in use: what they predict, write and are judged by, beside what the model itself says."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import call
from torch import Tensor

import mmspec
from mmspec.diagnostics import MmspecError
from mmspec.inference import head as answers
from mmspec.inference.generate import Sampling
from mmspec.inference.run import LoadedRun

MIXED = """
mmspec: 1
name: birds
modalities:
  text: {kind: tokens, vocab: 256, length: {max: 12}, optional: true}
  facts: {kind: table, columns: {w: number, side: {categories: 3}}, optional: true}
streams:
  joint: {from: [text, facts], depth: 1, width: 8, heads: 2}
heads:
  label: {from: joint, kind: classifier, classes: 4}
  size: {from: joint, kind: regressor, outputs: 2}
"""
WRITER = """
mmspec: 1
name: writer
modalities:
  text: {kind: tokens, vocab: VOCAB, length: {max: 24}}
streams:
  text: {from: text, depth: 1, width: 16, heads: 2, attention: ATTENTION}
heads:
  next: {from: text, kind: language-model}
"""
PAIRS = """
mmspec: 1
name: pairs
modalities:
  text: {kind: tokens, vocab: 256, length: {max: 9}, optional: true}
  sound: {kind: series, features: 2, rate: 10 Hz, length: {max: 7}, optional: true}
streams:
  text: {from: text, depth: 1, width: 8, heads: 2}
  sound: {from: sound, depth: 1, width: 8, heads: 2}
heads:
  match: {from: [text, sound], kind: contrastive, width: 6}
"""


def trained(folder: Path, spec: str, rows: str, name: str = "rows.csv") -> LoadedRun:
    """A run of three steps, with weights that matter."""
    (folder / "spec.yaml").write_text(spec)
    (folder / name).write_text(rows)
    out = folder / "run"
    settings = ("--steps", "3", "--lr", "0.05", "--batch", "8", "--json")
    given = ("train", str(folder / "spec.yaml"), "--data", str(folder / name), "--out", str(out))
    assert call(*given, *settings) == 0
    return mmspec.load_run(out)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> LoadedRun:
    lines = [f"word {i},{i / 9},{'lr'[i % 2]},{'pqr'[i % 3]},{i} {-i}" for i in range(30)]
    text = "\n".join(["text,w,side,label,size", *lines])
    return trained(tmp_path_factory.mktemp("mixed"), MIXED, text)


def ids(text: str) -> Tensor:
    return torch.tensor([list(text.encode())])


def test_classes_and_numbers_are_the_models_own(mixed: LoadedRun) -> None:
    (found,) = mixed.predict([{"text": "red", "facts": {"w": 2.5, "side": "r"}}])
    lengths = {"text": torch.tensor([3]), "facts": torch.tensor([1])}
    facts = torch.tensor([[2.5, 1.0]])  # of l and r, r is the second
    heads = mixed.model(text=ids("red"), facts=facts, lengths=lengths).heads
    share = heads.label[0, :3].softmax(0).tolist()  # the fourth class has no name
    expected = dict(zip("pqr", share, strict=True))
    assert mixed.labels == {"label": ("p", "q", "r")}
    assert found.row == "row 0"
    said: Any = found.answers["label"].plain()
    assert said["class"] == max(expected, key=lambda name: expected[name])
    assert said["probabilities"] == pytest.approx(expected)
    assert [*said["probabilities"]] == sorted(expected, key=lambda name: -expected[name])
    assert found.answers["size"].plain() == pytest.approx(heads.size[0].tolist())


def test_a_row_is_the_same_alone_among_others_and_in_a_manifest(
    mixed: LoadedRun, tmp_path: Path
) -> None:
    rows: list[dict[str, Any]] = [
        {"text": f"w{'x' * (i % 7)}", "w": str(i) * (i % 2), "side": "l" * (i % 2)}
        for i in range(70)
    ]
    lines = (",".join(row.values()) for row in rows)
    (tmp_path / "new.csv").write_text("\n".join(["text,w,side", *lines]))
    together, from_file = mixed.predict(rows, top=1), mixed.predict(tmp_path / "new.csv", top=1)
    assert [p.row for p in from_file] == [f"new.csv:{i}" for i in range(2, 72)]
    for at in (0, 1, 68, 69):
        (alone,) = mixed.predict([rows[at]], top=1)
        expected = pytest.approx(alone.answers["size"].plain(), abs=1e-5)
        for one in (together[at], from_file[at]):
            assert one.answers["size"].plain() == expected
            said: Any = one.answers["label"].plain()
            assert len(said["probabilities"]) == 1


def test_what_was_not_learnt_is_told_with_its_row(mixed: LoadedRun) -> None:
    with pytest.raises(MmspecError, match=r"MM508.*`side`: no training row has `'x'`") as told:
        mixed.predict([{"text": "a"}, {"facts": {"w": 1, "side": "x"}}])
    assert told.value.diagnostics[0].where == "row 1, column `facts`"
    with pytest.raises(MmspecError, match="MM510"):
        mixed.predict([{"text": ""}])


def test_figures_are_of_the_rows_that_are_named(mixed: LoadedRun, tmp_path: Path) -> None:
    stored = json.loads((mixed.directory / "evaluation.jsonl").read_text().splitlines()[-1])
    own = mixed.evaluate(mixed.directory.parent / "rows.csv")
    assert own.split == "held-out" and 0 < own.rows < 30
    assert own.table == {name: row for name, row in stored.items() if name != "step"}
    (tmp_path / "new.csv").write_text("text,label\nred,p\nblue,q\ngreen,p\n")
    found = mixed.evaluate(tmp_path / "new.csv")
    guesses = [p.answers["label"].plain()["class"] for p in mixed.predict(tmp_path / "new.csv")]
    hits = sum(a == b for a, b in zip(guesses, "pqp", strict=True))
    assert (found.split, found.rows) == ("all", 3)
    assert found.table["all present"]["label"]["accuracy"] == pytest.approx(hits / 3)
    assert "size" not in found.table["all present"], "no column, no figure"
    (tmp_path / "bare.csv").write_text("text\nred\nblue\n")
    with pytest.raises(MmspecError, match=r"MM616.*no target"):
        mixed.evaluate(tmp_path / "bare.csv")


def test_a_run_goes_by_its_folder_alone(mixed: LoadedRun, tmp_path: Path) -> None:
    import shutil

    moved = tmp_path / "moved"
    shutil.copytree(mixed.directory, moved)
    (moved / "checkpoint.pt").unlink()  # what is left are the weights alone
    expected = mixed.predict([{"text": "red"}])
    again = mmspec.load_run(moved / "model.safetensors")
    assert again.predict([{"text": "red"}]) == expected
    (moved / "model.safetensors").unlink()
    with pytest.raises(MmspecError, match=r"MM613.*no weights"):
        mmspec.load_run(moved)
    with pytest.raises(MmspecError, match=r"MM613.*holds no run"):
        mmspec.load_run(tmp_path)


LINES = "text\n" + "\n".join(f"abcabc{'abc' * (i % 3)}" for i in range(20))


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> LoadedRun:
    spec = WRITER.replace("VOCAB", "260").replace("ATTENTION", "causal")
    return trained(tmp_path_factory.mktemp("writer"), spec, LINES)


def by_hand(run: LoadedRun, prompt: str, count: int) -> list[int]:
    """The likeliest bytes, each from a forward over all before it."""
    found = list(prompt.encode())
    for _ in range(count):
        logits = run.model(text=torch.tensor([found])).heads.next
        found.append(int(logits[0, -1, :256].argmax()))
    return found[len(prompt) :]


def test_the_likeliest_text_is_that_of_whole_forwards(writer: LoadedRun) -> None:
    import_module(".decoding", type(writer.model).__module__.rpartition(".")[0])
    for prompt in ("a", "abcab", "x" * 20):
        found = writer.generate(prompt, tokens=4)
        assert list(found.ids) == by_hand(writer, prompt, 4)
        assert found.text == bytes(found.ids).decode(errors="replace") and found.ended == "tokens"


def test_so_is_it_where_no_keys_can_be_kept(tmp_path: Path) -> None:
    spec = WRITER.replace("VOCAB", "256").replace("ATTENTION", "document & causal")
    run = trained(tmp_path, spec, LINES)
    assert list(run.generate("abc", tokens=5).ids) == by_hand(run, "abc", 5)


def test_it_ends_where_the_model_reads_no_further_and_before_the_text_to_stop_at(
    writer: LoadedRun,
) -> None:
    long = writer.generate("abc", tokens=99)
    assert (len(long.ids), long.ended) == (22, "length"), "24 are read, one more is said"
    whole = long.text or ""
    stop = whole[4:6]
    found = writer.generate("abc", tokens=99, stop=stop)
    assert (found.text, found.ended) == (whole[: whole.index(stop)], "stop")
    with pytest.raises(MmspecError, match=r"MM621.*25 tokens.*reads 24"):
        writer.generate("a" * 25)
    with pytest.raises(MmspecError, match=r"MM621.*empty"):
        writer.generate("")
    with pytest.raises(MmspecError, match=r"MM621.*no language-model head `nxt`"):
        writer.generate("a", head="nxt")


def test_ids_are_given_and_written_where_tokens_are_no_bytes(tmp_path: Path) -> None:
    spec = WRITER.replace("VOCAB", "7").replace("ATTENTION", "causal")
    rows = "\n".join(json.dumps({"text": [i % 7, 3, (i + 1) % 7]}) for i in range(20))
    run = trained(tmp_path, spec, rows, "rows.jsonl")
    found = run.generate([3, 1], tokens=5)
    assert found.text is None and len(found.ids) == 5 and set(found.ids) < set(range(7))
    with pytest.raises(MmspecError, match="MM621"):
        run.generate([3], stop="a")


LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0]).log_softmax(0)


@pytest.mark.parametrize(
    ("sampling", "kept", "power"),
    [
        (Sampling(), 4, 1.0),
        (Sampling(temperature=2.0), 4, 0.5),
        (Sampling(top_k=2), 2, 1.0),
        (Sampling(top_p=0.65), 2, 1.0),  # the first has .644
        (Sampling(top_p=0.64), 1, 1.0),
        (Sampling(temperature=0), 1, 1.0),
    ],
)
def test_tokens_come_as_often_as_they_should(sampling: Sampling, kept: int, power: float) -> None:
    source, count = torch.Generator().manual_seed(0), 2000
    drawn = Counter(sampling.choose(LOGITS, source) for _ in range(count))
    weights = [math.exp(power * value) for value in LOGITS.tolist()[:kept]]
    for token in range(4):
        share = weights[token] / sum(weights) if token < kept else 0.0
        spread = 4.5 * math.sqrt(share * (1 - share) / count)  # 7 in a million
        assert abs(drawn[token] / count - share) <= spread


def test_settings_out_of_range_are_told() -> None:
    with pytest.raises(MmspecError, match=r"(?s)temperature.*top_k.*top_p"):
        Sampling(temperature=-1, top_k=0, top_p=0)


def test_matches_are_over_all_rows_however_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"text": "ab" * (i % 5), "sound": [[i, 1.0]] * (i % 4)} for i in range(23)]
    lines = [json.dumps({k: v for k, v in row.items() if v}) for row in rows]
    run = trained(tmp_path, PAIRS, "\n".join(line for line in lines if line != "{}"), "rows.jsonl")
    data = tmp_path / "rows.jsonl"
    (batch,) = run.encode(data)
    logits = run.model(**batch.modalities, lengths=batch.lengths).heads.match
    logits[:, batch.lengths["sound"] == 0] = -torch.inf
    monkeypatch.setattr(answers, "_GALLERY", 8)
    found = run.predict(data, top=3)
    assert [p.row for p in found] == list(batch.rows)
    for at, each in enumerate(found):
        if int(batch.lengths["text"][at]) == 0:
            assert not each.answers
            continue
        best = logits[at].topk(3)
        said: Any = each.answers["match"].plain()
        assert [hit["row"] for hit in said] == [batch.rows[i] for i in best.indices.tolist()]
        assert [hit["similarity"] for hit in said] == pytest.approx(best.values.tolist(), rel=1e-4)


def test_on_the_command_line(
    mixed: LoadedRun, writer: LoadedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, words = str(mixed.directory), str(writer.directory)
    expected = mixed.predict([{"text": "red"}])[0].answers["label"].plain()
    assert call("predict", run, "text=red", "--format", "jsonl") == 0
    assert json.loads(capsys.readouterr().out)["label"] == expected
    assert call("predict", run, "text=red", "facts.w=1", "facts.side=l") == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == ["label"] * 3 + ["size"] * 2
    (tmp_path / "new.csv").write_text('text\nred\n"blue, green"\n')
    assert call("predict", run, "--data", str(tmp_path / "new.csv"), "--format", "csv") == 0
    table = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["row"] for row in table] == ["new.csv:2", "new.csv:3"]
    share = expected["probabilities"][table[0]["label"]]
    assert float(table[0]["label probability"]) == pytest.approx(share)
    assert call("predict", run, "--data", str(tmp_path / "new.csv")) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == (
        "row label label probability size 0 size 1".split()
    )
    assert call("evaluate", run, "--data", str(mixed.directory.parent / "rows.csv"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["split"] == "held-out"
    greedy = writer.generate("abc", tokens=6)
    assert call("generate", words, "--prompt", "abc", "--tokens", "6", "--temperature", "0") == 0
    assert capsys.readouterr().out == f"abc{greedy.text}\n"
    assert call("generate", words, "--prompt", "abc", "--tokens", "6", "--seed", "3", "--json") == 0
    drawn = json.loads(capsys.readouterr().out)
    assert drawn["ids"] == list(writer.generate("abc", tokens=6, sampling=Sampling(seed=3)).ids)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("predict",), "give --data FILE, or values"),
        (("predict", "txt=a"), "no modality `txt`; there is text, facts"),
        (("predict", "text"), "`text` is no NAME=VALUE"),
        (("predict", "text=a", "text=b"), "given twice"),
        (("predict", "text=a", "--top", "0"), "at least 1"),
        (("evaluate", "--data", "nowhere.csv"), "MM500"),
        (("generate", "--prompt", "a"), "MM621"),
    ],
)
def test_mistakes_are_told(
    words: tuple[str, ...], told: str, mixed: LoadedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(words[0], str(mixed.directory), *words[1:]) == 2
    assert told in capsys.readouterr().err
