"""What a model of pydantic cannot say: rules that join several parts of a spec."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

from mmspec.diagnostics import MOST, Diagnostic, MmspecError, listed, shortened
from mmspec.expressions import claim as claims
from mmspec.expressions.scanner import did_you_mean
from mmspec.schema import (
    check_attention,
    check_lead,
    check_objective,
    check_path,
    check_scores,
    check_tables,
    check_variants,
)
from mmspec.schema import head as heads
from mmspec.schema.norm import misfit
from mmspec.schema.path import features
from mmspec.schema.rotary import Rotary
from mmspec.schema.spec import Spec
from mmspec.schema.wiring import Wiring, problem


def check(spec: Spec, wiring: Wiring) -> None:
    """Raise one MmspecError with every problem found.

    Where a head reads a name that is none, no stream is blamed for having no reader.
    """
    found: list[Diagnostic] = []
    for rule in (
        _modalities,
        check_tables.of_modalities,
        _streams,
        check_variants.of_streams,
        check_attention.of_streams,
        check_scores.of_streams,
        _fusions,
        check_attention.of_fusions,
        _halting,
        _heads,
        check_lead.of_all,
        check_path.of_heads,
        check_path.of_sources,
        check_objective.of_heads,
        _claims,
    ):
        for error in islice(rule(spec, wiring), MOST - len(found)):
            found.extend(error.diagnostics)
    if any(problem.code == "MM315" for problem in found):
        found = [problem for problem in found if problem.code != "MM307"]
    if found:
        raise MmspecError(tuple(found))


def _modalities(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    for name, modality in spec.modalities.items():
        at = ("modalities", name, "position")
        if not wiring.readers(name):
            yield problem(
                spec,
                "MM304",
                f"no stream reads modality `{name}`",
                "modalities",
                name,
                help="name it in a stream's `from`, or remove it",
                word=name,
            )
        if modality.position.kind == "sincos-2d" and modality.grid is None:
            yield problem(
                spec,
                "MM305",
                "sincos-2d needs the rows and columns of an image or a video",
                *at,
                help="write sincos, learned or rotary",
            )
        if not modality.ordered and modality.position.kind not in ("none", "learned"):
            yield problem(
                spec,
                "MM305",
                "columns of a table have no order to place",
                *at,
                help="write none or learned",
            )
        for stream in wiring.readers(name):
            yield from _norm_fits(spec, name, stream)
            yield from _stem_fits(spec, name, stream)
            divisor = modality.position.divisor
            if spec.streams[stream].width % divisor:
                yield problem(
                    spec,
                    "MM306",
                    f"{modality.position.kind} needs a width divisible by {divisor}; "
                    f"stream `{stream}` has {spec.streams[stream].width}",
                    *at,
                    help="change the stream's width or the position",
                )
            elif getattr(modality.position, "endpoint", False) and spec.streams[stream].width < 4:
                yield problem(
                    spec,
                    "MM306",
                    f"a width of 2 has one rate and no endpoint; stream `{stream}`",
                    *at,
                    help="leave the endpoint out, or choose a width of at least 4",
                )


def _stem_fits(spec: Spec, name: str, stream: str) -> Iterator[MmspecError]:
    """What a stem gives is as wide as the stream that reads it."""
    made, width = spec.modalities[name].made, spec.streams[stream].width
    if made not in (None, width):
        message = f"the stem gives {made} features; stream `{stream}`, which reads it, has {width}"
        advice = f"end it with `linear({width})`, or change the stream's width"
        yield problem(spec, "MM105", message, "modalities", name, "stem", help=advice)


def _norm_fits(spec: Spec, name: str, stream: str) -> Iterator[MmspecError]:
    """A modality's norm is of the features that the stream gives it."""
    wrong = misfit(spec.modalities[name].norm, spec.streams[stream].width)
    if wrong is not None:
        found = wrong.diagnostic
        message = f"{found.message}, as stream `{stream}` reads it"
        yield problem(spec, found.code, message, "modalities", name, *wrong.keys, help=found.help)


def _streams(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    read = {x.name for sources in wiring.sources.values() for x in sources if x.is_stream}
    read |= {name for crossed in wiring.crossed.values() for name in crossed}
    read |= {name for head in spec.heads.values() for name in heads.sources(head)}
    for name, stream in spec.streams.items():
        if name not in read:
            yield problem(
                spec,
                "MM307",
                f"nothing reads stream `{name}`",
                "streams",
                name,
                help="let a stream or a head read it, or remove it",
                word=name,
            )
        rotary = any(
            s.modality and spec.modalities[s.modality].position.kind == "rotary"
            for s in wiring.segments[name]
        )
        for one in stream.every:
            if rotary and one.word == "attention" and one.of.turning is not None:
                yield from _pairs(spec, name, one.of.turning, one.of.head_width)
                break


def _pairs(spec: Spec, name: str, rotary: Rotary, width: int) -> Iterator[MmspecError]:
    """Rotary turns features by twos."""
    turned = rotary.turned(width)
    if turned % 2 == 0 and turned > 0:
        return
    if rotary.partial < 1:
        near = max(2, round(turned / 2) * 2)
        yield problem(
            spec,
            "MM308",
            f"rotary turns pairs: {rotary.partial:g} of head width {width} is {float(turned):g}",
            *("streams", name, "rotary", "partial"),
            help=f"{near / width:g} is {near} features" if near <= width else "leave it out",
        )
        return
    yield problem(
        spec,
        "MM308",
        f"rotary turns pairs: head width {width} is odd",
        "streams",
        name,
        help="choose an even head width",
        word=name,
    )


def _fusions(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    for name, stream in spec.streams.items():
        source = stream.source
        at = ("streams", name, "from")
        count = source.attending(stream.heads)
        if count is not None and stream.width % count:
            yield problem(
                spec,
                "MM309",
                f"width {stream.width} is not a multiple of the fusion's {count} heads",
                *at,
                help="give the fusion `heads` that divide the width",
            )


def _classifiers(spec: Spec, stream: str) -> list[str]:
    """Classifiers that read a stream."""
    return [name for name, head in spec.heads.items() if _tells_classes(head, stream)]


def _tells_classes(head: heads.Head, stream: str) -> bool:
    """Whether a head tells classes apart by a stream."""
    return head.labels > 0 and heads.sources(head) == (stream,)


def _or_named(word: str, known: Collection[str], what: str) -> str:
    """What a word that names nothing may have meant, or all that could be meant."""
    return did_you_mean(word, [name for name in known if name != word], what)


def _halting(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    of_heads: dict[str, list[str]] = {}
    for name, reading in spec.heads.items():
        for stream_read in dict.fromkeys(heads.sources(reading)):
            of_heads.setdefault(stream_read, []).append(name)
    for name, stream in spec.streams.items():
        decider = stream.halting.decider if stream.halting else None
        if stream.halting is None or decider is None:
            continue
        at = ("streams", name, "halting")
        head = spec.heads.get(decider)
        if head is None or not _tells_classes(head, name):
            yield problem(
                spec,
                "MM312",
                f"exits need a classifier that reads stream `{name}`",
                *at,
                "head",
                help=_or_named(decider, _classifiers(spec, name), "heads that do"),
            )
        least = stream.halting.leaves(stream.depth)[0]
        if least > stream.depth:
            yield problem(
                spec,
                "MM313",
                f"an exit every {least} blocks of {stream.depth}",
                *at,
                help="choose `every` at most the depth",
            )
        readers = [*of_heads.get(name, ()), *wiring.readers(name, is_stream=True)]
        if readers != [decider] and decider in spec.heads:
            yield problem(
                spec,
                "MM314",
                f"a stream with exits is read by its head alone, not by {listed(readers)}",
                *at,
                help="give the other readers a stream of their own",
            )


def _heads(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    for name, head in spec.heads.items():
        unknown = [s for s in heads.sources(head) if s not in spec.streams]
        for stream in unknown:
            others = [s for s in spec.streams if s not in heads.sources(head)]
            yield problem(
                spec,
                "MM315",
                f"head `{name}` reads `{stream}`, which is no stream",
                "heads",
                name,
                "from",
                help=_or_named(stream, others, "streams"),
                word=stream,
            )
        if head.predicts and not unknown:
            yield from _language_model(spec, wiring, name, head)
        if head.matches and len(set(heads.sources(head))) == 1:
            yield problem(
                spec,
                "MM316",
                "a contrastive head compares two different streams",
                "heads",
                name,
                "from",
                help="name two streams",
            )


def token_segment(spec: Spec, wiring: Wiring, head: heads.Head) -> str | None:
    """The tokens segment whose next tokens a head predicts; None: none, or it isn't unique."""
    return heads.predicted(head, _tokens(spec, wiring, head))


def _tokens(spec: Spec, wiring: Wiring, head: heads.Head) -> list[str]:
    """The segments of ids that a head reads."""
    segments = [s for stream in heads.sources(head) for s in wiring.segments[stream]]
    return [s.name for s in segments if s.modality and spec.modalities[s.modality].ids]


def _language_model(
    spec: Spec, wiring: Wiring, name: str, head: heads.Head
) -> Iterator[MmspecError]:
    (stream,), segment = heads.sources(head), token_segment(spec, wiring, head)
    if segment is None:
        yield problem(
            spec,
            "MM317",
            f"head `{name}` needs one tokens segment of `{stream}`",
            "heads",
            name,
            *(("modality",) if head.asked else ()),
            help=_or_named(head.asked or "", _tokens(spec, wiring, head), "tokens: `modality` of"),
        )
        return
    owner = check_tables.table_of(spec, segment)
    readers = wiring.readers(owner)
    if head.is_tied and len(readers) != 1:
        yield problem(
            spec,
            "MM318",
            f"`{owner}` is embedded {len(readers)} times: tied to which?",
            "heads",
            name,
            help="write tied: false",
        )
    elif head.is_tied and spec.streams[readers[0]].width != _read(head, spec.streams[stream].width):
        yield problem(
            spec,
            "MM318",
            "a tied head needs the embedding's width",
            "heads",
            name,
            help="write tied: false, or make the widths equal",
        )


def _read(head: heads.Head, width: int) -> int:
    """Features that the output of a head reads, where each of its steps is of a token by itself."""
    return width if any(step.on_grid for step in head.path) else features(head.path, width)


def _claims(spec: Spec, wiring: Wiring) -> Iterator[MmspecError]:
    known = {*spec.modalities, *spec.streams}
    for position, text in enumerate(spec.claims):
        for name, role in sorted(_claim_names(claims.parse(text)).items()):
            if name in known:
                continue
            roles = {"stream": {*spec.streams}, "modality": {*spec.modalities}}
            yield problem(
                spec,
                "MM321",
                f"claim `{shortened(text)}` names `{name}`, which is nothing here",
                "claims",
                position,
                help=_or_named(name, sorted(roles.get(role, known)), "known"),
                word=name,
            )


def _claim_names(claim: claims.Claim) -> dict[str, str]:
    """Every name of a claim, and what it is to be: a stream, a modality or either."""
    if isinstance(claim, claims.NoFlow):
        return {claim.source: "either", claim.target: "stream"}
    if isinstance(claim, claims.Causal):
        return {claim.stream: "stream"}
    if isinstance(claim, claims.Growth):
        return {**{symbol: "modality" for symbol, _ in claim.order}, claim.argument: "either"}
    argument = {claim.argument: "stream"} if claim.argument else {}
    return argument | {name: "modality" for name, _ in claim.lengths}
