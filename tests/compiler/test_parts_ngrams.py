"""N-grams of bytes against hashes by hand: spaces, capitals, words, what training leaves out."""

from __future__ import annotations

import pytest
import torch
from part_case import filled, normal, same
from torch import Tensor

from mmspec.compiler import ir
from mmspec.compiler.parts.ngrams import Ngrams, RunHash

LONGEST = 13
GRAMS = ir.Ngrams((2, 3), words=True, lower=True, buckets=11, dropout=0.0)


def ids(text: str) -> Tensor:
    return torch.tensor([list(text.encode())])


def hashed(run: str, buckets: int = 11) -> int:
    """h <- 257 h + byte + 1, as a sum of powers."""
    found = sum((byte + 1) * 257**i for i, byte in enumerate(reversed(run.encode())))
    return int(found % (2**31 - 1) % buckets)


def test_runs_stop_at_spaces() -> None:
    """Of each byte the runs of 2 and of 3 bytes, and the word so far; a space is a word."""
    runs = ["a a a", "    ", "r r r", "re re re", "ed red red", "dy edy redy", "    ", "h h h"]
    wanted = [run.split() or [" "] * 3 for run in runs]
    rows = [[hashed(run) + 11 * i for i, run in enumerate(each)] for each in wanted]
    assert RunHash(GRAMS, LONGEST)(ids("a Redy H")).tolist() == [rows]


def test_capitals_count_where_they_are_not_lowered() -> None:
    plain = ir.Ngrams((2,), words=False, lower=False, buckets=101, dropout=0.0)
    assert RunHash(plain, LONGEST)(ids("Ab"))[0, 1, 0] == hashed("Ab", 101) != hashed("ab", 101)


def test_long_words_do_not_overflow() -> None:
    grams = ir.Ngrams((32,), words=True, lower=False, buckets=4096, dropout=0.0)
    text = "\xff" * 3000
    found = RunHash(grams, 6000)(ids(text))
    last = "\xff" * 16
    assert found[0, -1].tolist() == [hashed(last, 4096), 4096 + hashed(text, 4096)]


def test_a_row_is_the_mean_with_those_of_its_runs() -> None:
    part = filled(Ngrams(5, GRAMS, LONGEST))
    given, x = ids("to Be"), normal(1, 5, 5)
    table = part.table.weight
    rows = RunHash(GRAMS, LONGEST)(given)[0]
    wanted = [(x[0, t] + sum(table[int(row)] for row in rows[t])) / 4 for t in range(5)]
    same(part(given, x), torch.stack(wanted)[None])


def test_training_leaves_out_whole_runs() -> None:
    grams = ir.Ngrams((2, 3), words=False, lower=False, buckets=64, dropout=0.75)
    part = Ngrams(4, grams, 4000)
    torch.nn.init.ones_(part.table.weight)
    x = torch.zeros(1, 4000, 4)
    found = part.train()(torch.randint(97, 99, (1, 4000)), x)
    assert (found == found[..., :1]).all()
    shares = [float((found[..., 0] == value).double().mean()) for value in (0.0, 4 / 3, 8 / 3)]
    assert shares == pytest.approx([9 / 16, 6 / 16, 1 / 16], abs=0.04)
    assert (part.eval()(torch.randint(97, 99, (1, 4000)), x) == 2 / 3).all()


def test_of_no_bytes_there_are_no_rows() -> None:
    none = torch.zeros(2, 0, dtype=torch.int64)
    assert Ngrams(4, GRAMS, LONGEST)(none, torch.zeros(2, 0, 4)).shape == (2, 0, 4)
