"""A run's folder: begun once, resumed only as it was begun, used by one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mmspec.data import recipe
from mmspec.diagnostics import Diagnostic, MmspecError, unwritable
from mmspec.schema.resolved import dump, resolved
from mmspec.schema.spec import Spec
from mmspec.train import folder
from mmspec.train.settings import Settings
from mmspec.version import __version__

if TYPE_CHECKING:
    from mmspec.train.feed import Feed

NAME: Final = folder.RUN
SPEC: Final = "spec.yaml"
FORMAT: Final = 1
_LOCK: Final = ".lock"
_PACKAGES: Final = ("torch", "numpy", "pydantic", "pillow", "soundfile")
_EDITED: Final = (
    "what may change is given on the command line, not written there; "
    "restore the file from a copy, or begin another run with --out"
)


@dataclass(frozen=True, slots=True)
class Run:
    """What a folder says of its run."""

    settings: Settings
    spec: Spec
    content: dict[str, Any]
    """All of run.json, but for its digest."""


def described(settings: Settings, spec: Spec, feed: Feed) -> dict[str, Any]:
    """What makes a run this run and what it takes to use its model, as plain data."""
    return {
        "format": FORMAT,
        "versions": _versions(),
        "settings": settings.stored(),
        "spec": resolved(spec),
        "data": feed.fingerprint,
        "inputs": recipe.inputs(spec, feed.categories),
        "outputs": recipe.outputs(spec, feed.classes),
    }


def _versions() -> dict[str, str]:
    """Of mmspec, Python and the packages that what is computed may depend on."""
    found = {"mmspec": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


Found = TypeVar("Found")


@contextmanager
def locked(directory: Path, look: Callable[[Path], Found]) -> Generator[Found]:
    """Hold the folder for this process; raises MM615 when another holds it, MM603 when unable.

    look: what is found in the folder, or raises what is wrong with it; then nothing is made there.
    """
    if not (directory / _LOCK).is_file():
        look(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except (OSError, ValueError) as error:
        raise unwritable(directory, error, "choose another --out") from None
    try:
        _hold(handle, directory)
        yield look(directory)
    finally:
        os.close(handle)


def _hold(handle: int, directory: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        message = f"another process trains in {directory}"
        raise MmspecError(Diagnostic("MM615", message, help="choose another --out")) from None


def check_unused(directory: Path) -> None:
    """Raise MM615 where another process holds a folder now; nothing is made there."""
    with contextlib.suppress(FileNotFoundError):
        handle = os.open(directory / _LOCK, os.O_RDWR)
        try:
            _hold(handle, directory)
        finally:
            os.close(handle)


def check_free(directory: Path) -> None:
    """Raise MM611 where a folder holds anything already, MM603 where it is none."""
    try:
        entries = [
            e for e in directory.iterdir() if e.name != _LOCK and not folder.is_unfinished(e)
        ]
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise unwritable(directory, error, "choose another --out") from None
    if entries:
        is_run = (directory / NAME).exists()
        what = "holds a run already" if is_run else "is not empty"
        advice = "--resume continues it; " if is_run else ""
        help_text = f"{advice}--out names another folder"
        raise MmspecError(Diagnostic("MM611", f"{directory} {what}", help=help_text))


def write(directory: Path, content: dict[str, Any], spec: Spec) -> None:
    """Write what the run is, and the spec beside it for people to read."""
    folder.sweep(directory)
    sealed = content | {"sha256": _digest(content)}
    text = (json.dumps(sealed, indent=2, ensure_ascii=False) + "\n").encode()
    path = directory / NAME
    if not path.exists() or path.read_bytes() != text:
        folder.write(path, text)
    if not (directory / SPEC).exists():
        folder.write(directory / SPEC, dump(spec).encode())


def read(directory: Path, advice: str = "leave --resume out to begin one") -> Run:
    """The run that a folder holds; raises MM613 where it holds none, or a damaged one.

    advice: what to do where there is none.
    """
    if not directory.is_dir():
        raise folder.damaged(directory, "is no folder of a run", advice)
    if os.path.lexists(directory / _LOCK):
        folder.opened(directory / _LOCK).close()
    path = directory / NAME
    if not os.path.lexists(path):
        raise folder.damaged(directory, "holds no run", advice)
    try:
        content = json.loads(folder.content(path))
    except (ValueError, RecursionError):
        raise folder.damaged(path, "is damaged: it is not JSON", _EDITED) from None
    if not isinstance(content, dict) or content.pop("sha256", None) != _digest(content):
        raise folder.damaged(path, "is damaged, or was edited", _EDITED)
    if content.get("format") != FORMAT:
        message = f"is of format {content.get('format')}, and this mmspec reads {FORMAT}"
        raise folder.damaged(path, message, "use the mmspec that it names under `versions`")
    try:
        settings = Settings.restored(content["settings"], str(directory))
        spec = _spec(content["spec"], directory / SPEC)
        expected = {"data": str, "inputs": dict, "outputs": dict, "versions": dict}
        wrong = [key for key, kind in expected.items() if not isinstance(content[key], kind)]
    except (KeyError, TypeError, ValueError, MmspecError) as error:
        raise folder.damaged(path, f"is damaged: {error}", _EDITED) from None
    if wrong:
        raise folder.damaged(path, f"is damaged: {', '.join(wrong)}", _EDITED)
    return Run(settings, spec, content)


def _digest(content: dict[str, Any]) -> str:
    """Of all that is said, however it is laid out."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _spec(data: dict[str, Any], path: Path) -> Spec:
    """The spec again; JSON is YAML in which nothing is left to guess."""
    from mmspec import text
    from mmspec.schema.validate import validate

    return validate(text.parse(json.dumps(data, indent=2), str(path)))


def resumed(stored: Run, settings: Settings, spec: Spec, feed: Feed) -> Settings:
    """The settings to go on with; raises MM612 with each thing that is not as it was begun."""
    if settings.warmup is None:
        settings = replace(settings, warmup=stored.settings.warmup)
    check_same(stored, settings, spec)
    mine = described(settings, spec, feed)
    differences = []
    if mine["data"] != stored.content["data"]:
        differences.append("the data is not the one the run was begun with")
    else:
        differences += [
            f"the names or the encoding of `{name}` are not those the run was begun with"
            for key in ("inputs", "outputs")
            for name, wanted in mine[key].items()
            if stored.content[key].get(name) != wanted
        ]
    _refuse(settings, differences)
    return settings


def changes(stored: Run) -> tuple[str, ...]:
    """A line for mmspec and for torch where it is not that of the beginning."""
    before, now = stored.content["versions"], _versions()
    return tuple(
        f"the run was begun with {name} {before.get(name)}, and goes on with {now[name]}: "
        "from now on its numbers may differ in their last bits"
        for name in ("mmspec", "torch")
        if before.get(name) != now[name]
    )


def check_same(stored: Run, settings: Settings, spec: Spec) -> None:
    """Raise MM612 where the settings or the spec are not those of the run."""
    differences = settings.differences(stored.settings)
    if resolved(spec) != resolved(stored.spec):
        differences.append("the spec is not the one the run was begun with")
    _refuse(settings, differences)


def _refuse(settings: Settings, differences: list[str]) -> None:
    if differences:
        raise MmspecError([Diagnostic("MM612", f"{settings.out}: {text}") for text in differences])
