"""The specialiser on small parts: what is left of each constant, and that it still means the same.

`sample_parts.py` holds the parts; here each is specialised, run, and compared with itself.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sample_parts
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_parts import Sizes
from torch import Tensor, nn
from work import work

from mmspec.compiler.specialise.classes import Specialised
from mmspec.compiler.specialise.fragment import Fragment
from mmspec.compiler.specialise.source import Part, inherited, parse_block
from mmspec.compiler.specialise.specialise import Specialiser

SIZES = Sizes(2, 3, (7, "gelu"))
B, T, D = 2, 5, 6


@dataclass
class Made:
    """One part and its specialisation, with equal weights."""

    handle: Specialised
    fragment: Fragment
    plain: nn.Module
    special: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        self.special = namespace(self.fragment)[self.handle.name]().double()
        self.plain = self.plain.double()
        state = self.plain.state_dict()
        assert list(self.special.state_dict()) == list(state)
        self.special.load_state_dict(state)

    def both(self, arguments: Mapping[str, Any]) -> tuple[Any, Any]:
        """What the part and its specialisation make of the same arguments."""
        taken = {name: arguments[name] for name in self.handle.forward if name in arguments}
        return self.plain(**arguments), self.special(**taken)


def namespace(fragment: Fragment) -> dict[str, Any]:
    """A fragment's source, run."""
    found: dict[str, Any] = {}
    exec(compile(fragment.source(), "<fragment>", "exec"), found)
    return found


def made(part: str, **constants: object) -> Made:
    """A part specialised to these constants."""
    specialiser = Specialiser([sample_parts])
    handle = specialiser.request(part, constants, "Own")
    plain: nn.Module = getattr(sample_parts, part)(**constants)
    return Made(handle, specialiser.finish(), plain)


def text_of(part: str, **constants: object) -> str:
    """The source of a part specialised to these constants, without what it holds."""
    found = made(part, **constants)
    return next(c.source for c in found.fragment.classes if c.name == found.handle.name)


def normal(*shape: int) -> Tensor:
    """Float64 Gaussian numbers."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def inputs() -> dict[str, Any]:
    """Something for every parameter that a sample part may take."""
    mask = torch.ones(T, T, dtype=torch.bool).tril()
    angle = torch.arange(T).double() / 7
    return {"x_btd": normal(B, T, D), "mask": mask, "angle_t": angle}


sizes = st.builds(
    Sizes,
    st.integers(1, 3),
    st.sampled_from([2, 4]),
    st.tuples(st.integers(1, 7), st.sampled_from(["gelu", "quick-gelu", "cubic"])),
)


@given(sizes, st.booleans(), st.booleans(), st.booleans())
def test_attention_means_the_same(sizes: Sizes, bias: bool, causal: bool, rotary: bool) -> None:
    found = made("Attention", width=D, sizes=sizes, bias=bias, causal=causal, rotary=rotary)
    plain, special = found.both({**inputs(), "mask": None} if causal else inputs())
    assert torch.equal(plain, special)


@given(sizes, st.integers(0, 3), st.booleans(), st.booleans())
def test_a_block_means_the_same(sizes: Sizes, experts: int, norm: bool, rotary: bool) -> None:
    found = made("Block", width=D, sizes=sizes, experts=experts, norm=norm, rotary=rotary)
    ours: list[Any] = []
    theirs: list[Any] = []
    plain = found.plain(**inputs(), routing=ours)
    arguments = {**inputs(), "routing": theirs}
    special = found.special(**{name: arguments[name] for name in found.handle.forward})
    assert torch.equal(plain, special)
    assert len(ours) == len(theirs) == bool(experts)
    assert all(torch.equal(a.load_e, b.load_e) for a, b in zip(ours, theirs, strict=True))


@given(sizes, st.integers(1, 3), st.integers(0, 2), st.booleans())
def test_a_stream_means_the_same(sizes: Sizes, depth: int, experts: int, rotary: bool) -> None:
    found = made("Stream", width=D, sizes=sizes, depth=depth, experts=experts, rotary=rotary)
    given_ = {**inputs(), "position_t": torch.arange(T)}
    del given_["angle_t"]
    (plain, ours), (special, theirs) = found.both(given_)
    assert torch.equal(plain, special)
    assert len(ours) == len(theirs) == (depth if experts else 0)


@pytest.mark.parametrize("kinds", [(0,), (3, 3), (0, 2, 3), (2, 0)])
def test_blocks_of_several_kinds_mean_the_same(kinds: tuple[int, ...]) -> None:
    found = made("Mixed", width=D, sizes=SIZES, kinds=kinds)
    ours: list[Any] = []
    theirs: list[Any] = []
    plain = found.plain(normal(B, T, D), ours)
    arguments = {"x_btd": normal(B, T, D), "routing": theirs}
    special = found.special(**{name: arguments[name] for name in found.handle.forward})
    assert torch.equal(plain, special)
    assert len(ours) == len(theirs) == sum(kind > 0 for kind in kinds)


@pytest.mark.parametrize("width", [2, 3, 7])
@pytest.mark.parametrize("scale", [-1.0, 1.0, 2.5])
def test_towers_mean_the_same(width: int, scale: float) -> None:
    found = made("Towers", names=("left", "right"), widths=(5, 7), width=width)
    plain, special = found.both({"x_btd": normal(B, width), "scale": scale})
    assert torch.equal(plain, special)


@pytest.mark.parametrize("kind", ["gelu", "quick-gelu", "cubic"])
def test_an_activation_used_twice_means_the_same(kind: str) -> None:
    plain, special = made("Cubic", kind=kind, power=0.5).both({"x": normal(B, T)})
    assert torch.equal(plain, special)


def test_a_constant_leaves_its_value() -> None:
    text = text_of("Attention", width=D, sizes=SIZES, bias=False)
    assert "self.qkv = nn.Linear(6, 18, bias=False)" in text
    assert "scale=3**-0.5" in text
    for gone in ("self.heads", "self.scale", "sizes", "assert", "inner", "causal", "enable_gqa"):
        assert gone not in text


def test_lists_of_constants_are_made_at_once() -> None:
    """Twice as many items are twice the work: each item read the whole list again."""

    def made(items: int) -> None:
        Specialiser([sample_parts]).request("Listed", {"sizes": tuple(range(items))}, "A")

    made(3)
    assert work(lambda: made(200)) < 2 * work(lambda: made(100))


def test_a_branch_that_is_not_taken_is_gone() -> None:
    causal = text_of("Attention", width=D, sizes=SIZES, causal=True)
    masked = text_of("Attention", width=D, sizes=SIZES)
    assert "is_causal=True" in causal and "attn_mask" not in causal
    assert "is_causal" not in masked and "attn_mask=mask" in masked
    for text in (causal, masked):
        assert not [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.If)]


def test_comments_stay_with_what_is_kept() -> None:
    turned = text_of("Attention", width=D, sizes=SIZES, rotary=True)
    straight = text_of("Attention", width=D, sizes=SIZES)
    assert "# comment of the branch" in turned and "# comment of the branch" not in straight
    assert "# queries, keys and values together" in straight


def test_what_may_be_none_is_there_or_not() -> None:
    with_norm = text_of("Block", width=D, sizes=SIZES)
    without = text_of("Block", width=D, sizes=SIZES, norm=False)
    assert "self.norm = nn.LayerNorm(6)" in with_norm and "norm" not in without
    assert "None" not in with_norm.replace("Tensor | None", "").replace("-> None", "")


@pytest.mark.parametrize(
    ("part", "constants", "kept", "dropped"),
    [
        ("Attention", {}, ("x_btd", "mask"), {"angle_t"}),
        ("Attention", {"rotary": True}, ("x_btd", "mask", "angle_t"), set()),
        ("Attention", {"causal": True}, ("x_btd",), {"mask", "angle_t"}),
        ("Block", {}, ("x_btd", "mask"), {"angle_t", "routing"}),
        ("Block", {"experts": 3}, ("x_btd", "mask", "routing"), {"angle_t"}),
        ("Stream", {"depth": 2}, ("x_btd", "mask"), {"position_t"}),
    ],
)
def test_parameters_that_nothing_reads_are_removed(
    part: str, constants: dict[str, object], kept: tuple[str, ...], dropped: set[str]
) -> None:
    handle = made(part, width=D, sizes=SIZES, **constants).handle
    assert handle.forward == kept
    assert set(handle.dropped) == dropped


def test_parts_in_one_list_keep_the_same_parameters() -> None:
    found = made("Mixed", width=D, sizes=SIZES, kinds=(0, 3))
    forwards = {
        node.name: [item.arg for item in method.args.args]
        for node in ast.parse(found.fragment.source()).body
        if isinstance(node, ast.ClassDef) and "Block" in node.name
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name == "forward"
    }
    assert set(map(tuple, forwards.values())) == {("self", "x_btd", "mask", "routing")}
    assert len(forwards) == 2


@given(st.lists(st.sampled_from(["a", "b", "b2", "c"]), unique=True, min_size=1), st.booleans())
@pytest.mark.parametrize("part", ["Chain", "Summed"])
def test_named_layers_mean_the_same(part: str, names: list[str], last: bool) -> None:
    found = made(part, names=tuple(names), width=D, last=last)
    plain, special = found.both({"x_bd": normal(B, D)})
    assert torch.equal(plain, special)


def test_what_the_next_statement_reads_stands_in_it() -> None:
    text = text_of("Chain", names=("a", "b"), width=D, last=True)
    assert [line.strip() for line in text.splitlines()[-2:]] == [
        "x_bd = x_bd + self.a(x_bd.sin())",
        "return x_bd + self.b(x_bd.sin())",
    ]
    assert "self.a = nn.Linear(6, 6, bias=False)\n        self.b = nn.Linear(6, 6)\n" in text


def test_what_is_read_twice_keeps_its_name() -> None:
    text = text_of("Summed", names=("a",), width=D, last=True)
    assert [line.strip() for line in text.splitlines()[-4:]] == [
        "all_bd = x_bd * 6",
        "y_bd = self.a(x_bd)",
        "x_bd = x_bd + y_bd",
        "return all_bd + y_bd.cos()",
    ]


def test_a_part_has_what_it_derives_from() -> None:
    text = text_of("Summed", names=("b",), width=D, last=False)
    assert text.startswith('class Summed(nn.Module):\n    """The layers of a chain, and all')
    assert "self.b = nn.Linear(6, 6)" in text and text.count("super().__init__()") == 1


TURNED = """\
class Turned(nn.Module):
    \"\"\"A linear map to 6, then weights.\"\"\"

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.weight = nn.Parameter(torch.empty(6))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.eye_(self.first.weight)
        nn.init.ones_(self.weight)

    def forward(self, x_bd: Tensor) -> Tensor:
        x_bd = self.first(x_bd)
"""
REST = {
    True: "\n        added = 1.0\n        return x_bd * self.weight + added",
    False: "\n        # Nothing is added.\n        return x_bd * self.weight",
}


@pytest.mark.parametrize("bias", [True, False])
def test_what_a_part_calls_of_the_one_above_it_is_written_there(bias: bool) -> None:
    found = made("Turned", width=D, bias=bias)
    assert found.fragment.classes[-1].source == TURNED + REST[bias]
    plain, special = found.both({"x_bd": normal(B, D)})
    assert torch.equal(plain, special)


def test_what_is_given_by_name_is_what_is_read() -> None:
    found = made("Given", width=D)
    text = "".join(item.source for item in found.fragment.classes)
    assert "def forward(self, x_bd: Tensor, scale_b: Tensor) -> Tensor:\n" in text
    assert "return self.layer(x_bd, scale_b)" in text
    assert "shift_b" not in text and "**" not in text
    given = {"x_bd": normal(B, D), "shift_b": normal(B), "scale_b": normal(B)}
    plain, special = found.both(given)
    assert torch.equal(plain, special)


def test_what_is_called_otherwise_than_its_parameter_is_refused() -> None:
    source = "class A(nn.Module):\n    def _a(self, x):\n        pass\n"
    source += "class B(A):\n    def forward(self, y):\n        self._a(y)\n"
    above, below = ast.parse(source).body
    assert isinstance(above, ast.ClassDef) and isinstance(below, ast.ClassDef)
    lines = source.splitlines()
    parts = {
        node.name: Part(node.name, parse_block(node.body, lines), ast.unparse(node.bases[0]))
        for node in (above, below)
    }
    with pytest.raises(AssertionError, match=r"self._a\(y\): not \['x'\]"):
        inherited(parts["B"], parts)


def test_methods_that_nothing_calls_are_removed() -> None:
    constants: dict[str, object] = {"names": ("a",), "widths": (5,), "width": 2}
    specialiser = Specialiser([sample_parts])
    specialiser.request("Towers", constants, "Own")
    assert "unused" not in specialiser.finish().source()
    used = specialiser.finish(uses=["unused"]).source()
    assert "def unused" in used and "def _helper" in used


def test_what_a_part_uses_comes_with_it() -> None:
    plain = made("Cubic", kind="gelu", power=1.0).fragment
    assert plain.functions == () and "import torch.nn.functional as F" in plain.imports
    helped = made("Cubic", kind="quick-gelu", power=1.0).fragment
    assert [text.split("(")[0] for text in helped.functions] == ["def quick_gelu"]
    assert "x * x * x" in made("Cubic", kind="cubic", power=1.0).fragment.source()


def test_classes_that_differ_in_constants_are_one() -> None:
    specialiser = Specialiser([sample_parts])
    first, same, other = (
        specialiser.request("Mlp", {"width": D, "mlp_width": width, "kind": "gelu"}, owner)
        for width, owner in ((5, "Text"), (5, "Image"), (7, "Image"))
    )
    fragment = specialiser.finish()
    assert first.name == same.name == other.name == "Mlp"
    assert first.arguments == same.arguments == "mlp_width=5" and other.arguments == "mlp_width=7"
    (found,) = fragment.classes
    assert "def __init__(self, mlp_width: int) -> None:" in found.source
    assert "nn.Linear(6, mlp_width)" in found.source
    assert '"""Widen to `mlp_width`, gelu, narrow."""' in found.source


streams = st.builds(
    lambda sizes, depth, width: {"width": width, "sizes": sizes, "depth": depth},
    sizes,
    st.integers(1, 3),
    st.sampled_from([4, 6]),
)


@settings(max_examples=20)
@given(streams, streams)
def test_streams_that_share_classes_mean_the_same(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    specialiser = Specialiser([sample_parts])
    handles = [specialiser.request("Stream", each, "Own") for each in (first, second)]
    fragment = specialiser.finish()
    kinds = {each["sizes"].mlp[1] for each in (first, second)}
    assert len({handle.name for handle in handles}) == len(kinds)
    for each, handle in zip((first, second), handles, strict=True):
        plain = sample_parts.Stream(**each).double()
        special = eval(f"{handle.name}({handle.arguments})", namespace(fragment)).double()
        assert list(special.state_dict()) == list(plain.state_dict())
        special.load_state_dict(plain.state_dict())
        given_ = {**inputs(), "x_btd": normal(B, T, each["width"])}
        given_["position_t"] = torch.arange(T)
        taken = {name: given_[name] for name in handle.forward}
        known = {name: given_[name] for name in ("x_btd", "mask", "position_t")}
        assert torch.equal(plain(**known)[0], special(**taken)[0])


@pytest.mark.parametrize(
    ("second", "names"),
    [
        ({"causal": True}, ["Attention", "CausalAttention"]),
        ({"rotary": True}, ["Attention", "RotaryAttention"]),
        ({"causal": True, "rotary": True, "bias": False}, ["Attention", "CausalAttention"]),
        ({"bias": False}, ["Attention", "Attention"]),
    ],
)
def test_classes_are_named_by_what_tells_them_apart(
    second: dict[str, object], names: list[str]
) -> None:
    specialiser = Specialiser([sample_parts])
    handles = [
        specialiser.request("Attention", {"width": D, "sizes": SIZES, **more}, "Own")
        for more in ({}, second)
    ]
    specialiser.finish()
    assert [handle.name for handle in handles] == names


def test_what_holds_classes_is_named_as_they_are() -> None:
    specialiser = Specialiser([sample_parts])
    for kind in ("gelu", "cubic"):
        specialiser.request("Block", {"width": D, "sizes": Sizes(2, 3, (7, kind))}, "Own")
    names = [item.name for item in specialiser.finish().classes]
    assert names == ["Attention", "GeluMlp", "GeluBlock", "CubicMlp", "CubicBlock"]


def test_a_difference_of_two_words_is_said_and_any_other_by_who_asks() -> None:
    specialiser = Specialiser([sample_parts])
    flags = (("causal",), ("rotary",), ("causal", "rotary"), ())
    for on in flags:
        constants = {"width": D, "sizes": SIZES, **dict.fromkeys(on, True)}
        specialiser.request("Attention", constants, "Own")
    names = [item.name for item in specialiser.finish().classes]
    assert names == [f"{words}Attention" for words in ("Causal", "Rotary", "CausalRotary", "")]
    specialiser = Specialiser([sample_parts])
    for owner, names_ in (("Near", ("a", "b")), ("Far", ("c",))):
        constants = {"names": names_, "widths": (5, 7)[: len(names_)], "width": 2}
        specialiser.request("Towers", constants, owner)
    assert {item.name for item in specialiser.finish().classes} >= {"NearTowers", "FarTowers"}


def test_constants_that_leave_the_same_source_are_one_class() -> None:
    specialiser = Specialiser([sample_parts])
    for heads, width in ((2, 3), (3, 2)):
        for kind in ("gelu", "gelu"):
            sizes = Sizes(heads, width, (7, kind))
            specialiser.request("Block", {"width": D, "sizes": sizes}, f"Own{heads}")
    names = [item.name for item in specialiser.finish().classes]
    assert names == ["Attention", "Mlp", "Block"]


@pytest.mark.parametrize(
    ("reserved", "name"),
    [
        (set(), "Mlp"),
        ({"Mlp"}, "OwnMlp"),
        ({"Mlp", "OwnMlp"}, "OwnMlp2"),
        ({"Mlp", "OwnMlp", "OwnMlp2"}, "OwnMlp3"),
    ],
)
def test_names_that_others_have_are_left_to_them(reserved: set[str], name: str) -> None:
    specialiser = Specialiser([sample_parts], reserved=frozenset(reserved))
    handle = specialiser.request("Mlp", {"width": D, "mlp_width": 5, "kind": "gelu"}, "Own")
    specialiser.finish()
    assert handle.name == name


def test_no_class_takes_the_name_of_a_helper_or_an_import() -> None:
    specialiser = Specialiser([sample_parts])
    for names, owner in ((("a",), "Named"), (("b",), "Tensor"), (("c",), "Named")):
        specialiser.request("Towers", {"names": names, "widths": (5,), "width": 2}, owner)
    found = [item.name for item in specialiser.finish().classes if item.part == "Towers"]
    assert found == ["NamedTowers", "TensorTowers", "NamedTowers2"]


def test_docstrings_show_the_constants() -> None:
    text = text_of("Attention", width=D, sizes=SIZES)
    assert '"""Attention of 2 heads of width 3."""' in text
    towers = text_of("Towers", names=("a", "b"), widths=(5, 7), width=2)
    assert '"""One tower each for a, b."""' in towers


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_text_of_a_constant_stays_text(text: str) -> None:
    found = made("Note", text=text)
    tree = ast.parse(found.fragment.source())
    (owner,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert [type(node) for node in owner.body] == [ast.Expr, ast.FunctionDef]
    assert found.special(normal(1))[1] == text


HOSTILE = ['"""', '"', "\\", "{x}", "{{", "\n", "#", '""" + exit() + """', "\\N{DEGREE SIGN}", "'"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    found = made("Note", text=text * 3)
    assert found.special(normal(1))[1] == text * 3
    assert (found.special.__doc__ or "").startswith("Says ")


@pytest.mark.parametrize(
    "name", ["a b", "x; import os", "class", "", "1a", "a.b", "a\n", "\u0430", "é"]
)
def test_an_attribute_has_a_plain_name(name: str) -> None:
    with pytest.raises(AssertionError):
        Specialiser([sample_parts]).request("Named", {"name": name}, "Own")
    assert "self.fine = nn.Linear(2, 2)" in text_of("Named", name="fine")


@pytest.mark.parametrize(
    ("part", "constants", "message"),
    [
        ("Mlp", {"width": 6, "kind": "gelu"}, "mlp_width"),
        ("Mlp", {"width": 6, "mlp_width": 7, "kind": "gelu", "depth": 1}, "depth"),
        ("Mlp", {"width": 6, "mlp_width": 7, "kind": ["gelu"]}, "kind is"),
        ("Attention", {"width": 65, "sizes": SIZES}, "refuses: width <= LIMIT"),
        ("Cubic", {"kind": "tanh", "power": 1.0}, "refuses"),
    ],
)
def test_constants_that_a_part_does_not_take(
    part: str, constants: dict[str, object], message: str
) -> None:
    with pytest.raises(AssertionError, match=message):
        Specialiser([sample_parts]).request(part, constants, "Own")


REQUESTS: list[tuple[str, dict[str, object], str]] = [
    ("Stream", {"width": D, "sizes": SIZES, "depth": 2, "rotary": True}, "Text"),
    ("Stream", {"width": D, "sizes": SIZES, "depth": 3, "experts": 3}, "Image"),
    ("Mixed", {"width": D, "sizes": SIZES, "kinds": (0, 3)}, "Joint"),
    ("Towers", {"names": ("a", "b"), "widths": (5, 7), "width": 3}, "Joint"),
    ("Cubic", {"kind": "quick-gelu", "power": 1.0}, "Joint"),
]


def everything() -> str:
    """The source of several requests at once."""
    specialiser = Specialiser([sample_parts], reserved=frozenset({"Block"}))
    for part, constants, owner in REQUESTS:
        specialiser.request(part, constants, owner)
    return specialiser.finish().source()


def test_the_same_requests_give_the_same_bytes() -> None:
    assert everything() == everything()
    folder = Path(__file__).parent
    code = "import sys, test_specialise; sys.stdout.write(test_specialise.everything())"
    for seed in ("0", "1"):
        path = os.pathsep.join(map(str, (folder.parents[1], folder.parent, folder)))
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == everything(), f"PYTHONHASHSEED={seed}"


def test_children_come_before_what_holds_them() -> None:
    names = [node.name for node in ast.parse(everything()).body if isinstance(node, ast.ClassDef)]
    assert len(names) == len(set(names))
    seen: set[str] = set()
    for node in ast.parse(everything()).body:
        if isinstance(node, ast.ClassDef):
            used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & set(names)
            assert used <= seen, f"{node.name} comes before {used - seen}"
            seen.add(node.name)
