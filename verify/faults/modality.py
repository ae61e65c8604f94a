"""Faults of embeddings: patches, frames, columns and positions."""

from __future__ import annotations

from dataclasses import replace

from mmspec.compiler import ir
from mmspec.verify.faults.fault import Fault, nodes, plan, read_as, reckoned, source, sums
from mmspec.verify.faults.specs import (
    CAPTION,
    COUNTED,
    CROSSED,
    FRONTED,
    JOINED,
    LEAVING,
    MARKED,
    ROUTED,
    SCREENED,
    SHARED,
    SUMMED,
    TOWERS,
)


def _with_tables(node: ir.Node) -> ir.Node:
    """Each modality has a table of its own."""
    return replace(node, table=None) if isinstance(node, ir.Embed) else node


FAULTS: tuple[Fault, ...] = (
    Fault(
        "tied-rows-without-gradient",
        "a tied modality reads rows that take no gradient from it",
        SHARED,
        ("R1",),
        source((r"F\.embedding\(ids_bt, table_vd\)", "F.embedding(ids_bt, table_vd.detach())")),
    ),
    Fault(
        "tied-rows-of-its-own",
        "a modality that is tied to another has a table of its own",
        SHARED,
        ("P59",),
        plan(nodes(_with_tables)),
    ),
    Fault(
        "tied-rows-counted",
        "the rows of a tied modality are counted a second time",
        SHARED,
        ("P54",),
        reckoned(nodes(_with_tables)),
    ),
    Fault(
        "tied-rows-in-decoding",
        "the next tokens read rows that are not theirs",
        SHARED,
        ("P17",),
        source((r"table\(ids_bc\)", "table(0 * ids_bc)"), file="decoding.py"),
    ),
    Fault(
        "embedding-not-scaled",
        "tokens are not multiplied by the scale of their modality",
        SUMMED,
        ("P59", "R1"),
        plan(sums(scale=1.0)),
    ),
    Fault(
        "embedding-scaled-with-its-position",
        "positions are scaled with the rows that they are added to",
        SUMMED,
        ("P59", "R1"),
        source((r"x_btd \+ self\.position\n", "x_btd + 1.5 * self.position\n")),
    ),
    Fault(
        "embedding-norm-left-out",
        "the norm of one modality's tokens is left out",
        SUMMED,
        ("P59", "R1"),
        source((r"(self\.position\n +)return self\.norm\(x_btd\)", r"\1return x_btd")),
    ),
    Fault(
        "embedding-norm-not-counted",
        "costs know no norms of a modality's tokens",
        SUMMED,
        ("P54",),
        reckoned(sums(norm=None)),
    ),
    Fault(
        "added-left-out",
        "what is given of a token beside it is not added",
        MARKED,
        ("P59", "R1"),
        source((r"\n +\+ by_code\(self\.added_segment, [^\n]+", "")),
    ),
    Fault(
        "added-scaled",
        "what is added to a token is scaled with it",
        MARKED,
        ("P59",),
        source((r"by_code\(self\.added_segment", "0.5 * by_code(self.added_segment")),
    ),
    Fault(
        "added-nothing-where-not-given",
        "tokens of which no code is given are not those of code 0",
        MARKED,
        ("P59",),
        source((r"return table\.weight\[0\]", "return 0 * table.weight[0]")),
    ),
    Fault(
        "added-no-bias-where-not-given",
        "tokens of which no numbers are given have no bias of their map",
        MARKED,
        ("P59",),
        source((r"number_bti = (layer\.weight\.new_zeros.+)", r"return 0 * \1.sum()")),
    ),
    Fault(
        "added-not-initialised",
        "tables of codes start as torch starts them",
        MARKED,
        ("P55",),
        source((r"nn\.init\.normal_\(self\.added_segment\.weight, std=0\.02\)", "pass")),
    ),
    Fault(
        "added-not-counted",
        "costs know nothing of what is added to tokens",
        MARKED,
        ("P54",),
        reckoned(sums(added=())),
    ),
    Fault(
        "decoding-adds-nothing",
        "in decoding nothing is added to the next tokens",
        MARKED,
        ("P17",),
        source((r"\n +\+ by_code\(embedding\.added_segment, [^\n]+", ""), file="decoding.py"),
    ),
    Fault(
        "lead-behind",
        "learned tokens stand behind those of their modality",
        FRONTED,
        ("P59", "R1"),
        source(
            (
                r"torch\.cat\(\((self\.lead\.expand\(.+\)), x_btd\), dim=1\)",
                r"torch.cat((x_btd, \1), dim=1)",
            )
        ),
    ),
    Fault(
        "lead-has-no-position",
        "positions are those of a modality's own tokens, and the first is the lead's",
        FRONTED,
        ("P59",),
        source((r"x_btd \+ self\.position\n", "x_btd + self.position.roll(3, 0)\n")),
    ),
    Fault(
        "lead-valid-where-nothing-is",
        "learned tokens are there in samples without their modality",
        FRONTED,
        ("P59",),
        source((r"\(length_b \+ lead\) \* \(length_b > 0\)", "length_b + lead")),
    ),
    Fault(
        "lead-takes-from-lengths",
        "a sample has as many tokens less as learned ones lead them",
        FRONTED,
        ("P59",),
        source((r"\(length_b \+ lead\) \* \(length_b > 0\)", "length_b")),
    ),
    Fault(
        "lead-not-initialised",
        "learned tokens are left as memory was",
        FRONTED,
        ("P55",),
        source((r"nn\.init\.normal_\(self\.lead, std=0\.02\)", "pass")),
    ),
    Fault(
        "lead-not-counted",
        "costs know nothing of learned tokens",
        FRONTED,
        ("P54",),
        reckoned(sums(lead=0)),
    ),
    Fault(
        "root-of-a-factor-lost",
        "`sqrt(d)` is read as `d`",
        SUMMED,
        ("P57",),
        read_as("sqrt(d)", "d"),
    ),
    Fault(
        "decoding-embedding-not-scaled",
        "in decoding the next tokens are not scaled",
        SUMMED,
        ("P17",),
        source((r"math\.sqrt\(WIDTH\) \* ", ""), file="decoding.py"),
    ),
    Fault(
        "decoding-embedding-not-normed",
        "in decoding the next tokens are not normed",
        SUMMED,
        ("P17",),
        source((r"return embedding\.norm\(x_bcd\)", "return x_bcd"), file="decoding.py"),
    ),
    Fault(
        "position-offset-lost",
        "the first token has the first row of the table of positions",
        COUNTED,
        ("P59",),
        source((r"self\.position\[2 : 2 \+ ", "self.position[0 : ")),
    ),
    Fault(
        "sines-beside-cosines",
        "sines stand beside their cosines and not before all of them",
        COUNTED,
        ("P59",),
        source(
            (
                r"torch\.cat\(\((angles\.sin\(\), angles\.cos\(\))\), dim=-1\)",
                r"torch.stack((\1), dim=-1).flatten(-2)",
            )
        ),
    ),
    Fault(
        "sines-without-endpoint",
        "the last rate of sines and cosines is not the endpoint",
        COUNTED,
        ("P59",),
        source((r"(place_angles\(positions, 1, .+), 4\)", r"\1, 5)")),
    ),
    Fault(
        "patch-channel-last",
        "a patch is flattened row, column, channel and not channel first",
        JOINED,
        ("P59", "R1"),
        source(
            (
                r"self\.patch\(patches\.transpose\(1, 2\)\)",
                "self.patch(patches.transpose(1, 2).unflatten(-1, (2, -1)).mT.flatten(2))",
            )
        ),
    ),
    Fault(
        "patches-column-major",
        "patches stand column by column and not row by row",
        JOINED,
        ("P59",),
        source((r"(F\.unfold\()(pixels_bchw)", r"\1\2.mT")),
    ),
    Fault(
        "position-off-by-one",
        "the table of learned positions is read one row later",
        JOINED,
        ("P59",),
        source(
            (
                r"self\.position\[: x_btd\.shape\[1\]\]",
                "self.position.roll(-1, 0)[: x_btd.shape[1]]",
            )
        ),
    ),
    Fault(
        "sincos-halves",
        "sines stand in the first half of the width and cosines in the second",
        ROUTED,
        ("P59",),
        source((r"dim=-1\)\.flatten\(-2\)", "dim=-2).flatten(-2)")),
    ),
    Fault(
        "sincos-in-storage-dtype",
        "sinusoids are computed in the dtype of the weights",
        ROUTED,
        ("P28",),
        source(
            (
                r"precise\[\.\.\., None\] \* 10000\.0\*\*-rates_i",
                "angles_of(precise, rates_i, DTYPE[0])",
            ),
            (
                r"dim=-1\)\.flatten\(-2\)",
                "dim=-1).flatten(-2)\n\n\nDTYPE = [torch.float64]\n\n\n"
                "def angles_of(t: Tensor, rates: Tensor, dtype: torch.dtype) -> Tensor:\n"
                "    return t.to(dtype)[..., None] * 10000.0 ** -rates.to(dtype)",
            ),
            (
                r"(\n +)(self\.place_td\.copy_)",
                r"\1DTYPE[0] = self.place_td.dtype\1\2",
            ),
        ),
    ),
    Fault(
        "row-and-column-swapped",
        "the column of a patch is placed in the first half of the width",
        JOINED,
        ("P59",),
        source(
            (
                r"row, column = (positions // \w+), (positions % \w+)",
                r"row, column = \2, \1",
            )
        ),
    ),
    Fault(
        "frames-past-the-end",
        "frames past a sample's length are not made 0",
        LEAVING,
        ("P13", "P59"),
        source((r"frames_bfc\.masked_fill\(~real_bf\[\.\.\., None\], 0\.0\)", "frames_bfc")),
    ),
    Fault(
        "patch-feature-major",
        "a patch of frames is flattened feature, frame",
        TOWERS,
        ("P59",),
        source(
            (
                r"(torch\.unflatten\(frames_bfc, 1, \(-1, PATCH\)\))\.flatten\(2\)",
                r"\1.mT.flatten(2)",
            )
        ),
    ),
    Fault(
        "tubelet-channel-first",
        "a patch of a video is flattened channel, frame and not frame first",
        SCREENED,
        ("P59",),
        source((r"permute\(0, 1, 4, 6, 2, 3, 5, 7\)", "permute(0, 1, 4, 6, 3, 2, 5, 7)")),
    ),
    Fault(
        "tokens-of-frames-floored",
        "a last token with fewer frames than a patch is not valid",
        LEAVING,
        ("P59", "R1"),
        source((r"\(length_b \+ patch - 1\) // patch", "length_b // patch"), file="inputs.py"),
    ),
    Fault(
        "category-offset",
        "a table's categories all start at the first row",
        JOINED,
        ("P59",),
        source((r"codes_bn \+ torch\.tensor\([^\n]*", "codes_bn")),
    ),
    Fault(
        "columns-by-kind",
        "a table's numbers come first and its categories last",
        JOINED,
        ("P59",),
        source((r"return x_btd\[:, \([\d, ]*\)\]", "return x_btd")),
    ),
    Fault(
        "weights-not-initialised",
        "learned positions are left as memory was",
        JOINED,
        ("P55",),
        source((r"nn\.init\.normal_\(self\.position, std=0\.02\)", "pass")),
    ),
    Fault(
        "embedding-ignored-position",
        "the learned positions of an image are not added",
        CROSSED,
        ("P59", "R1"),
        source((r"x_btd \+ self\.position\n", "x_btd + 0 * self.position\n")),
    ),
    Fault(
        "positions-go-on",
        "rotary positions go on from one segment to the next",
        CAPTION,
        ("P59",),
        source(
            (
                r"torch\.arange\(text_tokens_btd\.shape\[1\], device",
                "6 + torch.arange(text_tokens_btd.shape[1], device",
            ),
            (r"torch\.zeros\(6, dtype", "torch.arange(6, dtype"),
        ),
    ),
)
