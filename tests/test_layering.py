"""The walls of the house: who may import whom, no cycles, the numbers of the style."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

import pytest
from source_tree import ROOT, Module, dependencies, modules

LANGUAGE = (
    "mmspec.version",
    "mmspec.codes",
    "mmspec.diagnostics",
    "mmspec.text",
    "mmspec.expressions",
    "mmspec.schema",
)

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "mmspec": (
        *("mmspec.version", "mmspec.diagnostics", "mmspec.api"),
        *("mmspec.inference", "mmspec.weights"),
    ),
    "mmspec.version": (),
    "mmspec.codes": (),
    "mmspec.diagnostics": ("mmspec.codes",),
    "mmspec.private": (),
    "mmspec.text": ("mmspec.diagnostics",),
    "mmspec.expressions": ("mmspec.diagnostics",),
    "mmspec.schema": ("mmspec.diagnostics", "mmspec.text", "mmspec.expressions"),
    "mmspec.api": (*LANGUAGE, "mmspec.compiler"),
    "mmspec.compiler": (*LANGUAGE, "mmspec.compiler"),
    "mmspec.compiler.lower": (*LANGUAGE, "mmspec.compiler.ir", "mmspec.compiler.relations"),
    "mmspec.compiler.relations": ("mmspec.expressions",),
    "mmspec.compiler.relations.counting": ("mmspec.compiler.relations.isl",),
    "mmspec.compiler.relations.meaning": (
        "mmspec.expressions",
        *(
            f"mmspec.compiler.relations.{name}"
            for name in ("intervals", "isl", "limit", "syntax", "counting")
        ),
    ),
    "mmspec.compiler.relations.loops": ("mmspec.expressions", "mmspec.compiler.relations"),
    "mmspec.compiler.parts": ("mmspec.compiler.ir", "mmspec.compiler.runtime"),
    "mmspec.compiler.runtime": ("mmspec.private",),
    "mmspec.compiler.specialise": (),
    "mmspec.compiler.kernels": (
        "mmspec.expressions",
        "mmspec.compiler.relations",
        "mmspec.compiler.specialise",
    ),
    "mmspec.compiler.emit": (
        *LANGUAGE,
        "mmspec.private",
        "mmspec.compiler.ir",
        "mmspec.compiler.printer",
        *(f"mmspec.compiler.{name}" for name in ("parts", "runtime", "specialise", "kernels")),
        "mmspec.compiler.relations",
    ),
    "mmspec.verify": (*LANGUAGE, "mmspec.api", "mmspec.compiler", "mmspec.verify"),
    "mmspec.verify.costs": (
        *LANGUAGE,
        "mmspec.compiler.ir",
        "mmspec.compiler.relations",
        "mmspec.verify.chance",
        "mmspec.verify.distances",
        "mmspec.verify.seen",
        "mmspec.verify.uncounted",
    ),
    "mmspec.verify.reference": LANGUAGE,
    "mmspec.families": LANGUAGE,
    "mmspec.data": ("mmspec",),
    "mmspec.weights": ("mmspec",),
    "mmspec.train": ("mmspec",),
    "mmspec.inference": ("mmspec",),
    "mmspec.export": ("mmspec",),
    "mmspec.cli": ("mmspec",),
    "mmspec.__main__": ("mmspec",),
}
"""What each package may import beside itself; the longest name that fits a module counts.

`mmspec` alone stands for everything of ours. docs/architecture.md has the same in words: the
reference shares nothing with the compiler, and the parts know the Plan alone.
"""

ABOVE = (
    *("mmspec.data", "mmspec.weights", "mmspec.train", "mmspec.inference"),
    *("mmspec.export", "mmspec.cli", "mmspec.__main__"),
)
"""What uses the layers; each may use those before it, and never the other way round."""

CONCERNS = ("modality", "stream", "attention", "fusion", "routing", "halting")
LAYERS = (
    "mmspec.schema",
    "mmspec.compiler.lower",
    "mmspec.compiler.parts",
    "mmspec.verify.costs",
    "mmspec.verify.reference",
)


def within(name: str, package: str) -> bool:
    """Whether a module is `package` or lies in it."""
    return name == package or name.startswith(f"{package}.")


def home(name: str) -> str:
    """The row of the table that a module belongs to."""
    fitting = [package for package in MAY_IMPORT if within(name, package)]
    return max(fitting, key=len)


def allowed(importer: str, target: str) -> bool:
    """Whether the table lets one module import another."""
    row = home(importer)
    if row == home(target):
        return True
    if row in ABOVE and home(target) in ABOVE:
        return ABOVE.index(home(target)) < ABOVE.index(row)
    if home(target) in ABOVE:
        return home(target) in MAY_IMPORT[row]  # the facade offers runs too, lazily
    if row in ABOVE:
        return True
    return any(within(target, package) for package in MAY_IMPORT[row])


def forbidden_imports(tree: dict[str, Module]) -> list[str]:
    """Each import that goes against the table, as `importer -> target`."""
    found = dependencies(tree)
    return [
        f"{importer} -> {target}"
        for importer in sorted(found)
        for target in sorted(found[importer])
        if not allowed(importer, target)
    ]


def unclear_imports(tree: dict[str, Module]) -> list[str]:
    """Relative imports, and those that name a layer by its folder."""
    return [
        f"{name}: {imported}"
        for name, module in tree.items()
        for imported in module.imported()
        if imported.startswith(".") or imported.split(".")[0] in ("compiler", "verify")
    ]


def group(name: str, tree: dict[str, Module]) -> str:
    """The package of a module; a module that lies beside packages stands for itself."""
    parent = name.rpartition(".")[0]
    holds_packages = {
        other.rpartition(".")[0] for other, module in tree.items() if module.is_package
    }
    return name if tree[name].is_package or parent in holds_packages else parent


def cycle(tree: dict[str, Module]) -> list[str]:
    """The first cycle among packages, or nothing."""
    graph: dict[str, set[str]] = {}
    for importer, targets in dependencies(tree).items():
        own = group(importer, tree)
        graph.setdefault(own, set()).update(group(target, tree) for target in targets)
        graph[own].discard(own)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def planted(**sources: str) -> dict[str, Module]:
    """A tree made for one test; `__` in a name stands for a dot."""
    names = [(name.replace("__", "."), text) for name, text in sources.items()]
    return {name: Module(name, text) for name, text in names}


def test_imports_follow_the_table_of_layers() -> None:
    assert forbidden_imports(modules()) == []


@pytest.mark.parametrize(
    ("importer", "statement", "target"),
    [
        ("mmspec__text__document", "import mmspec.compiler.ir", "mmspec.compiler.ir"),
        ("mmspec__schema__spec", "def f():\n  from mmspec.verify import x", "mmspec.verify.x"),
        ("mmspec__compiler__ir", "from mmspec.verify.costs import x", "mmspec.verify.costs.x"),
        ("mmspec__verify__reference__a", "from mmspec.compiler import ir", "mmspec.compiler.ir"),
        ("mmspec__compiler__parts__a", "from mmspec.schema import x", "mmspec.schema.x"),
        ("mmspec__compiler__lower__a", "import mmspec.compiler.emit.b", "mmspec.compiler.emit.b"),
        ("mmspec__train__loop", "from mmspec.cli import main", "mmspec.cli.main"),
        ("mmspec__compiler__driver", "import mmspec.train.loop", "mmspec.train.loop"),
    ],
)
def test_a_forbidden_import_is_seen(importer: str, statement: str, target: str) -> None:
    tree = planted(**{importer: statement, target.replace(".", "__"): ""})
    assert forbidden_imports(tree) == [f"{importer.replace('__', '.')} -> {target}"]


def test_imports_are_absolute_and_by_one_name() -> None:
    assert unclear_imports(modules()) == []


def test_an_unclear_import_is_seen() -> None:
    tree = planted(mmspec__a="from .b import c", mmspec__d="import compiler.ir\nimport verify")
    assert len(unclear_imports(tree)) == 3


def importers(name: str, tree: dict[str, Module]) -> list[str]:
    """The modules that import a package of others."""
    return [
        each for each, module in tree.items() if any(within(x, name) for x in module.imported())
    ]


def test_isl_is_used_as_it_is_set_up() -> None:
    assert importers("islpy", modules()) == ["mmspec.compiler.relations.isl"]


def test_another_way_to_isl_is_seen() -> None:
    tree = planted(mmspec__a="import islpy as isl", mmspec__b="def f():\n  from islpy import Map")
    assert importers("islpy", tree) == ["mmspec.a", "mmspec.b"]


def test_packages_have_no_cycle() -> None:
    assert cycle(modules()) == []


def test_a_cycle_is_seen() -> None:
    tree = {
        "mmspec": Module("mmspec", "", is_package=True),
        "mmspec.a": Module("mmspec.a", "", is_package=True),
        "mmspec.a.one": Module("mmspec.a.one", "from mmspec.b import two"),
        "mmspec.b": Module("mmspec.b", "", is_package=True),
        "mmspec.b.two": Module("mmspec.b.two", "def f():\n  import mmspec.a"),
    }
    assert set(cycle(tree)) == {"mmspec.a", "mmspec.b"}


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_has_a_file_for_every_concern(layer: str) -> None:
    assert [each for each in CONCERNS if f"{layer}.{each}" not in modules()] == []


def test_modules_have_docstrings() -> None:
    assert [name for name, each in modules().items() if not ast.get_docstring(each.tree)] == []


def percentile(values: Iterable[int], share: float) -> int:
    """The smallest value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def test_modules_are_short() -> None:
    lengths = {name: module.lines for name, module in modules().items()}
    assert {name: n for name, n in lengths.items() if n > 400} == {}
    assert statistics.median(lengths.values()) <= 150


def test_functions_are_short() -> None:
    lengths = {
        f"{name}:{node.lineno}": (node.end_lineno or node.lineno) - node.lineno + 1
        for module in modules().values()
        for name, node in module.functions()
    }
    assert {name: n for name, n in lengths.items() if n > 80} == {}
    assert statistics.median(lengths.values()) <= 10
    assert percentile(lengths.values(), 0.95) <= 40


def test_functions_take_few_parameters() -> None:
    counts = [
        len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs)
        for module in modules().values()
        for _, node in module.functions()
    ]
    assert percentile(counts, 0.95) <= 5


def unfinished(tree: dict[str, Module]) -> list[str]:
    """Notes to do something later, and what raises NotImplementedError."""
    marks = ("TO" + "DO", "FIX" + "ME", "raise NotImplemented")
    return [f"{name}: {mark}" for name, each in tree.items() for mark in marks if mark in each.text]


def test_nothing_is_left_to_do() -> None:
    assert unfinished(modules()) == []
    assert unfinished(planted(mmspec__a="raise NotImplementedError")) != []


def test_the_links_are_relative_and_lead_to_the_folders() -> None:
    for layer in ("compiler", "verify"):
        link = ROOT / "mmspec" / layer
        assert link.is_symlink()
        assert str(link.readlink()) == f"../{layer}"
