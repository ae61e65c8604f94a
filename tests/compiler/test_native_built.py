"""Native code is compiled once for a machine; without it attention is torch's, and as right."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from native_build_case import (
    COMPILERS,
    COPY,
    SOURCE,
    again,
    compiler,
    compiles,
    count,
    files,
    here,
    known,
    right,
)
from native_case import check, computed, inputs, only_native
from test_parts_sparse import pattern, window

from mmspec.compiler.runtime import native, native_build, sparse_plan
from mmspec.compiler.runtime.sparse import sparse_attention
from mmspec.compiler.runtime.sparse_calls import Plan
from mmspec.compiler.runtime.sparse_groups import Groups

pytest_plugins = ("native_build_fixtures",)
pytestmark = pytest.mark.usefixtures("machine")


@compiles
def test_code_is_compiled_once_and_found_again(copying: Path) -> None:
    assert native_build.library() is native_build.library() is not None
    assert again() is not None
    assert count(copying) == 1 and len(files(copying)) == 1
    assert (copying / "calls").read_text().split()[-1] == str(SOURCE)


@compiles
@pytest.mark.slow  # compiles all of it once more
def test_bfloat16_where_the_processor_has_no_dot_products_of_it(
    tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tmp_path / "plain.so"
    flags = *native_build._FLAGS, "-DMMSPEC_WITHOUT_DOTS"
    command = [*native_build._compiler(), *flags, "-o", str(plain), str(SOURCE)]
    subprocess.run(command, check=True)
    q, k = torch.arange(131)[:, None], torch.arange(149)
    seen = ((q - k).abs() < 20) & (q != 7) | (k < 2)
    outputs = []
    for library in (plain, code):
        copy = COPY.format(code=library)
        monkeypatch.setenv("CXX", str(compiler(tmp_path, f": {library}", copy)))
        native_build.library.cache_clear()
        with monkeypatch.context() as patch:
            patch.setenv("MMSPEC_CACHE", str(tmp_path / library.stem))
            only_native(patch)
            for width in (16, 33, 64):
                given = [
                    x.bfloat16() for x in inputs((131, 149), heads=(4, 2), widths=(width, width))
                ]
                name = pattern(seen, 32)
                check(given, seen, (name, ()))
            outputs.append(computed(given, (name, ())))
    has_them = "avx512_bf16" in native_build._processor()
    assert has_them is not all(map(torch.equal, *outputs))


@compiles
def test_other_source_flags_or_processors_are_compiled_anew(
    copying: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again()
    more = (*native_build._FLAGS, "-g")
    for name, value in (("_FLAGS", more), ("_processor", lambda: "another")):
        monkeypatch.setattr(native_build, name, value)
        assert again() is not None
    shutil.copy(SOURCE, copying)
    with (copying / SOURCE.name).open("a") as file:
        file.write("// changed")
    monkeypatch.setattr(native_build, "__file__", str(copying / "native_build.py"))
    assert again() is not None
    assert count(copying) == 4 and len(files(copying)) == 4


@compiles
@pytest.mark.parametrize("left", [0, 1, 1000, 20_000])
def test_a_damaged_file_is_compiled_anew(left: int, copying: Path) -> None:
    """A part of a library can crash the process that loads it."""
    again()
    (built,) = files(copying)
    good = built.read_bytes()
    built.write_bytes(good[:left])
    assert again() is not None
    assert count(copying) == 2 and built.read_bytes() == good
    assert files(copying) == [built]


@compiles
def test_a_changed_byte_is_seen(copying: Path) -> None:
    again()
    (built,) = files(copying)
    changed = bytearray(built.read_bytes())
    changed[len(changed) // 2] ^= 1
    built.write_bytes(changed)
    assert again() is not None and count(copying) == 2


@known
def test_a_wish_that_fails_says_why_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMSPEC_NATIVE", "1")
    script = compiler(tmp_path, "echo 'error: no such flag: -fopenmp' >&2; exit 1")
    monkeypatch.setenv("CXX", str(script))
    told = r"no such flag: -fopenmp .*removed\)\nhelp: .*CXX.*MMSPEC_NATIVE"
    with pytest.raises(RuntimeError, match=told):
        native_build.library()
    x = torch.randn(1, 8, 512, 64)
    with pytest.raises(RuntimeError, match="no such flag"):
        sparse_attention(x, x, x, (window(9, 8), (512,)))
    assert count(tmp_path) == 1


def test_no_compiler_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert native_build.library() is None
    right(monkeypatch)
    native_build.library.cache_clear()
    monkeypatch.setenv("MMSPEC_NATIVE", "1")
    with pytest.raises(RuntimeError, match=r"C\+\+ compiler|AVX2"):
        native_build.library()


def test_a_compiler_may_be_several_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", f"{sys.executable} -m compiler")
    assert native_build._compiler() == [sys.executable, "-m", "compiler"]


def test_a_compiler_that_is_named_but_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RuntimeError, match="CXX=no-such-compiler is not there"):
        native_build._compiler()


def test_no_wide_vectors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", str(compiler(tmp_path, "exit 1")))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert native_build.library() is None and count(tmp_path) == 0
    monkeypatch.setenv("MMSPEC_NATIVE", "1")
    native_build.library.cache_clear()
    with pytest.raises(RuntimeError, match="no AVX2"):
        native_build.library()


def test_code_that_is_not_wanted_is_not_compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", str(compiler(tmp_path, "exit 1")))
    monkeypatch.setenv("MMSPEC_NATIVE", "0")
    assert native_build.library() is None and count(tmp_path) == 0
    assert not (tmp_path / "cache").exists()
    right(monkeypatch)


SIZES = (
    # heads, length, width, dtype: whether native code can have it
    ((8, 512, 64, torch.float32), True),
    ((8, 512, 64, torch.bfloat16), True),
    ((8, 512, 64, torch.float16), True),
    ((8, 512, 256, torch.float32), True),
    ((8, 512, 257, torch.float32), False),
    ((8, 512, 64, torch.float64), False),
    ((1, 256, 64, torch.float32), True),
    ((1, 255, 64, torch.float32), False),
)


@compiles
@pytest.mark.parametrize(("size", "by_native"), SIZES, ids=str)
def test_large_attention_goes_by_native_code(
    size: tuple[int, int, int, torch.dtype],
    by_native: bool,
    copying: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heads, length, width, dtype = size
    least = native._LEAST
    calls = only_native(monkeypatch)
    monkeypatch.setattr(native, "_LEAST", least)
    x = torch.randn(1, heads, length, width, dtype=dtype, requires_grad=True)
    y = sparse_attention(x, x, x, (window(99, 64), (length,)))
    y.sum().backward()
    assert calls == (["attention_forward", "attention_backward"] if by_native else [])
    assert count(copying) == 1
    monkeypatch.setenv("MMSPEC_NATIVE", "0")
    native_build.library.cache_clear()
    other = sparse_attention(x, x, x, (window(99, 64), (length,)))
    assert y.equal(other) != by_native
    torch.testing.assert_close(y, other, atol=2e-2 if dtype == torch.bfloat16 else 2e-3, rtol=0)


@compiles
def test_nothing_beyond_the_inputs_is_read(copying: Path) -> None:
    """Six widths in two types, each in memory that ends with the tensor."""
    script = Path(__file__).with_name("native_guarded.py")
    done = subprocess.run([sys.executable, str(script)], env=here(), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "12\n"), done.stderr
    assert count(copying) == 1


@compiles
def test_a_plan_is_made_of_groups_where_there_is_native_code(
    copying: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of calls in the same process where there is none."""
    name, sizes = window(99, 64), (8, 1024, 1024, 64)
    x = torch.randn(1, 8, 1024, 64)
    assert native.fits(x, x) and native_build.library() is not None
    assert isinstance(sparse_plan.chosen(name, (1024,), sizes, native=True), Groups)
    assert isinstance(sparse_plan.chosen(name, (1024,), sizes, native=False), Plan)
    assert count(copying) == 1


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize("target", ["x86-64-v4", "x86-64-v3"])
@pytest.mark.parametrize("flags", [["-fopenmp"], []])
def test_the_source_has_no_warnings(name: str, target: str, flags: list[str]) -> None:
    """Those of numbers without a value are about the compiler's own headers; without OpenMP its
    words are unknown.
    """
    doubtful = "-Wno-maybe-uninitialized" if name == "g++" else "-Wno-pass-failed"
    quiet = ["-Wno-uninitialized", doubtful]
    given = [*flags, *([] if flags else ["-Wno-unknown-pragmas"])]
    strict = ["-Wall", "-Wextra", "-Wshadow", "-Werror", *quiet]
    known = ["-std=c++17", "-O2", f"-march={target}", "-ffp-contract=fast", "-fsyntax-only"]
    done = subprocess.run(
        [name, *known, *strict, *given, str(SOURCE)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_structures_are_those_of_the_source() -> None:
    """The fields of Problem in the order of native.cpp."""
    text = SOURCE.read_text()
    body = text[text.index("struct Problem {") :]
    lines = [line.split("//")[0] for line in body[: body.index("};")].splitlines()[1:]]
    words = " ".join(lines).replace("*", " ").replace("const ", "").split(";")
    declared = [word.split(None, 1) for word in words if word.strip()]
    names = [name.strip() for _, rest in declared for name in rest.split(",")]
    assert [name for name, *_ in native._Problem._fields_] == names
