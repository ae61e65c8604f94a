"""A spec that is made of settings, written with what each line comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mmspec.families.settings import Key, Settings, plain

_COLUMN: Final = 44
"""Where comments begin."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The parts of a spec by name; of two keys of one name the last counts."""

    dims: Mapping[str, tuple[int, str]]
    """Sizes, each with the setting that says it."""
    init: Key
    modalities: Mapping[str, list[Key]]
    streams: Mapping[str, list[Key]]
    heads: Mapping[str, list[Key]]
    losses: Mapping[str, str] = field(default_factory=dict)
    """By head, where it is not the default."""


def written(draft: Draft, name: str, about: str, rest: Mapping[str, Any]) -> str:
    """The text of a spec; rest: settings that it leaves out, which a comment names."""
    lines = [f"# {about}", "mmspec: 1", f"name: {name}"]
    sizes = ", ".join(f"{key}: {value}" for key, (value, _) in draft.dims.items())
    sources = ", ".join(source for _, source in draft.dims.values())
    lines += [_noted(f"dims: {{{sizes}}}", sources), _line(draft.init, "")]
    for section in ("modalities", "streams", "heads"):
        lines.append(f"{section}:")
        for part, keys in getattr(draft, section).items():
            last = {each.key: each for each in keys}
            lines += [f"  {part}:", *(_line(each, "    ") for each in last.values())]
    if draft.losses:
        told = [f"  {head}: {{loss: {loss}}}" for head, loss in draft.losses.items()]
        lines += ["objectives:", *told]
    if rest:
        lines += ["# What the settings say besides, which is not in this spec:"]
        lines += [f"#   {key}: {value!r}"[:160] for key, value in rest.items()]
    return "\n".join(lines) + "\n"


def _line(key: Key, indent: str) -> str:
    return _noted(f"{indent}{key.key}: {key.value}", key.source)


def _noted(text: str, source: str) -> str:
    """A line and its comment."""
    return f"{text.ljust(_COLUMN)}  # {source}" if source else text


def tokens(
    s: Settings,
    length: str = "max_position_embeddings",
    longest: int = 2048,
    vocab: str = "vocab_size",
    **more: str,
) -> list[Key]:
    """A modality of tokens; length, vocab: what settings call these; more: its other keys."""
    return [
        Key("kind", "tokens"),
        Key("vocab", str(s.size(vocab)), vocab),
        Key("length", f"{{max: {s.size(length, longest)}}}", length),
        *(Key(key, value) for key, value in more.items()),
    ]


def tower(
    s: Settings, name: str, width: str, norm: str, hidden: tuple[str, str], heads: int = 12
) -> list[Key]:
    """A stream of a modality, of blocks that are alike.

    s: its own part of the settings; hidden: width and activation of the feed-forward; heads: where
    nobody says.
    """
    inner, activation = hidden
    return [
        Key("from", name),
        Key("depth", str(s.size("num_hidden_layers", 12)), f"{name} num_hidden_layers"),
        Key("width", width),
        Key("heads", str(s.size("num_attention_heads", heads)), f"{name} num_attention_heads"),
        Key("norm", norm),
        Key("feed_forward", f"{{kind: mlp, width: {inner}, activation: {activation}}}"),
    ]


def init(s: Settings, name: str = "initializer_range", kind: str = "normal") -> Key:
    """How weights start."""
    return Key("init", f"{kind}({plain(s.number(name, 0.02))})", name)


def biases(roles: Mapping[str, bool], norms: bool) -> str:
    """Which linear maps have a bias, by role; norms: whether norms, which cannot be told, have."""
    if all(roles.values()):
        return "true"
    named = [f"{role}: true" for role, has in roles.items() if has]
    if not named and not norms:
        return "false"
    return f"{{{', '.join(['linear: false', *named])}}}"


def varied(labels: list[str], variants: Mapping[str, Iterable[Key]], source: str) -> list[Key]:
    """Keys of layers of several kinds: which there are, and in which order, again and again."""
    used = dict.fromkeys(labels)
    if len(used) == 1:
        return list(variants[labels[0]])
    kinds = [
        f"{name}: {{{', '.join(f'{each.key}: {each.value}' for each in variants[name])}}}"
        for name in used
    ]
    period = next(
        n
        for n in range(1, len(labels) + 1)
        if all(label == labels[at % n] for at, label in enumerate(labels))
    )
    runs: list[tuple[str, int]] = []
    for label in labels[:period]:
        if runs and runs[-1][0] == label:
            runs[-1] = label, runs[-1][1] + 1
        else:
            runs.append((label, 1))
    order = ", ".join(f"{name}*{count}" if count > 1 else name for name, count in runs)
    return [Key("variants", f"{{{', '.join(kinds)}}}", source), Key("layers", f"[{order}]", source)]


def classes(s: Settings) -> Key:
    """How many labels a classifier has; two where nobody says."""
    labels = s.get("id2label", s.get("num_labels", 2))
    return Key("classes", str(labels if isinstance(labels, int) else len(labels)), "id2label")


def widened(s: Settings, name: str, width: int, times: int = 4) -> str:
    """The hidden width of a feed-forward, `4*d` where it is that."""
    found = s.size(name, times * width)
    return f"{times}*d" if found == times * width else str(found)
