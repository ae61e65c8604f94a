"""What a model is given, looked at before anything is computed: what does not fit is told by name.

Kinds, devices, types, ranks and sizes are always looked at; values on a CPU only, and not while a
graph is made or a function transformed: there they are not known, or would have to be waited for.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.masked import MaskedTensor
from torch.nn.parameter import is_lazy

NUMBERS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
INTEGERS = (torch.int64, torch.int32)


def known(
    what: str, given: Mapping[str, Tensor] | None, names: tuple[str, ...], device: torch.device
) -> Mapping[str, Tensor]:
    """`given`, or nothing; ValueError for a name that the model does not have, or elsewhere."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(f"{what} must be a dict of tensors by name, is {kind(given)}")
    for name, x in given.items():
        if name not in names:
            raise ValueError(f"{what} has no {name!r}; names: {', '.join(names)}")
        expect_device(f"{what} of {name}", x, device)
    return given


def expect_device(name: str, x: object, device: torch.device) -> None:
    """Raise unless a tensor is where the weights of the model are."""
    if isinstance(x, Tensor) and x.device != device:
        wanted = f"on {device} as the model's weights are"
        raise ValueError(f"{name} must be {wanted}, is on {x.device}")


def expect(
    name: str, x: object, types: tuple[torch.dtype, ...], shape: tuple[int | None, ...]
) -> None:
    """Raise unless `x` is a dense tensor of one of the types and the shape (None: any size)."""
    if isinstance(x, Tensor) and not unlike(x) and x.dtype in types and x.dim() == len(shape):
        pairs = zip(x.shape, shape, strict=True)
        if all(size is None or found == size for found, size in pairs):
            return
    wanted = ", ".join("any" if size is None else str(size) for size in shape)
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a tensor [{wanted}], is {kind(x)}")
    if unlike(x):
        raise ValueError(f"{name} must be a dense tensor [{wanted}], is {unlike(x)}")
    if x.dtype not in types:
        raise ValueError(f"{name} must be {spelled(*types)}, is {spelled(x.dtype)}")
    raise ValueError(f"{name} must be [{wanted}], is {list(x.shape)}")


def kind(x: object) -> str:
    """What something is that is no tensor."""
    return "None" if x is None else f"a {type(x).__name__}"


def unlike(x: Tensor) -> str:
    """How a tensor differs from one of rows of numbers, and what to do; empty: it does not."""
    if x.is_nested:
        return "nested: pad it, and say by lengths how much is there"
    if x.layout is not torch.strided:
        return f"{spelled(x.layout)}: give its to_dense()"
    if type(x) is Tensor:
        return ""
    if isinstance(x, MaskedTensor):
        return "masked: give its get_data()"
    return "not initialised" if is_lazy(x) else ""


def spelled(*types: torch.dtype | torch.layout) -> str:
    """Types as one writes them."""
    *before, last = (str(one).removeprefix("torch.") for one in types)
    return f"{', '.join(before)} or {last}" if before else last


def expect_room(name: str, x: Tensor, longest: int) -> None:
    """Raise unless axis 1 is at most `longest`."""
    if x.shape[1] > longest:
        raise ValueError(f"{name} has {x.shape[1]} positions, at most {longest} are allowed")


def expect_range(name: str, x: Tensor, most: int) -> None:
    """Raise unless all values are whole and from 0 to `most`, where they can be looked at."""
    if within(x, most):
        return
    flat = x.detach().flatten()
    wrong = flat[~((flat >= 0) & (flat <= most) & (flat == flat.floor()))]
    raise ValueError(f"{name} must be from 0 to {most}, has {wrong[0].item()}")


def readable(x: Tensor) -> bool:
    """Whether the values of a tensor can be looked at, and at little cost."""
    if torch.compiler.is_compiling() or not x.is_cpu or is_functorch_wrapped_tensor(x):
        return False
    if type(x) is Tensor:
        return True
    # What answers each operation itself, as fake tensors do, need not have values.
    own, plain = (getattr(of, "__torch_dispatch__", None) for of in (type(x), Tensor))
    return own is plain


def within(x: Tensor, most: int) -> bool:
    """Whether all values are whole and from 0 to `most`, or cannot be looked at."""
    if x.numel() == 0 or not readable(x):
        return True
    least, largest = (end.item() for end in torch.aminmax(x.detach()))
    is_whole = not x.is_floating_point() or bool((x == x.floor()).all())
    return is_whole and least >= 0 and largest <= most


def batch_size(**inputs: Tensor | None) -> int:
    """Samples of the batch: as many in every input that is there."""
    there = [(name, x.shape[0]) for name, x in inputs.items() if x is not None]
    if not there:
        raise ValueError(f"give at least one of: {', '.join(inputs)}")
    first, batch = there[0]
    for name, size in there:
        if size != batch:
            raise ValueError(f"the batch of {name} is {size}, that of {first} is {batch}")
    return batch


def expect_numbers(
    name: str, x: Tensor, shape: tuple[int | None, ...], longest: int | None = None
) -> None:
    """Numbers of a shape; where `longest` is given, axis 1 is at most that."""
    expect(name, x, NUMBERS, shape)
    if longest is not None:
        expect_room(name, x, longest)


def expect_ids(name: str, ids_bt: Tensor, vocab: int, longest: int) -> None:
    """Ids below `vocab`, at most `longest` of a sample."""
    expect(name, ids_bt, INTEGERS, (None, None))
    expect_room(name, ids_bt, longest)
    expect_range(f"ids of {name}", ids_bt, vocab - 1)


def expect_row(name: str, row_bc: Tensor, columns: tuple[int, ...]) -> None:
    """Numbers, and codes in the columns that have categories (0: a column of numbers)."""
    expect(name, row_bc, (*NUMBERS, *INTEGERS), (None, len(columns)))
    for column, categories in enumerate(columns):
        if categories > 0:
            expect_range(f"codes in column {column} of {name}", row_bc[:, column], categories - 1)


def expect_lengths(name: str, lengths: Mapping[str, Tensor], batch: int, most: int) -> None:
    """If given: how much of each sample is there, at most all."""
    if name in lengths:
        # torch.tensor([]), the lengths of no samples, is float32.
        types = INTEGERS if batch > 0 else (*INTEGERS, torch.float32)
        expect(f"lengths of {name}", lengths[name], types, (batch,))
        expect_range(f"lengths of {name}", lengths[name], most)


def expect_added(
    name: str, added: Mapping[str, Tensor], shape: tuple[int, ...], codes: int = 0
) -> None:
    """If given: of each token a code below `codes`, or numbers."""
    if name in added:
        expect(f"{name} in added", added[name], INTEGERS if codes else NUMBERS, shape)
        if codes:
            expect_range(f"codes of {name}", added[name], codes - 1)


def expect_documents(
    name: str,
    documents: Mapping[str, Tensor],
    shape: tuple[int, int],
    length_b: Tensor | None,
) -> None:
    """If given: the document of each token, those of one together; length_b: in tokens."""
    if name in documents:
        expect(f"documents of {name}", documents[name], INTEGERS, shape)
        if readable(documents[name]) and (length_b is None or readable(length_b)):
            expect_together(name, documents[name], length_b)


def expect_together(name: str, document_bt: Tensor, length_b: Tensor | None) -> None:
    """Raise ValueError where tokens of one document stand apart; those past a length may."""
    later_bt = torch.ones_like(document_bt[:, 1:], dtype=torch.bool)
    if length_b is not None:
        valid_bt = torch.arange(document_bt.shape[1]) < length_b[:, None]
        document_bt = torch.where(valid_bt, document_bt, document_bt[:, :1])
        later_bt = valid_bt[:, 1:]
    begun_b = ((document_bt[:, 1:] != document_bt[:, :-1]) & later_bt).sum(dim=1)
    sorted_bt = document_bt.sort(dim=1).values
    there_b = (sorted_bt[:, 1:] != sorted_bt[:, :-1]).sum(dim=1)
    if bool((begun_b != there_b).any()):
        sample = int((begun_b != there_b).nonzero()[0])
        raise ValueError(
            f"documents of {name}: in sample {sample} a document goes on after another one; "
            "tokens of one document stand together"
        )


def expect_classes(name: str, targets: Mapping[str, Tensor], batch: int, classes: int) -> None:
    """If given: the class of each sample, -100 where it has none."""
    if name in targets:
        target_b = targets[name]
        expect(f"targets of {name} (class ids)", target_b, (torch.int64,), (batch,))
        if not within(target_b, classes - 1):
            expect_range(f"targets of {name}", target_b[target_b != -100], classes - 1)


def expect_any(name: str, targets: Mapping[str, Tensor]) -> None:
    """If given: a tensor, which says no more than that it is there."""
    if name in targets and not isinstance(targets[name], Tensor):
        raise TypeError(f"targets of {name} must be a tensor, is {kind(targets[name])}")


def expect_values(name: str, targets: Mapping[str, Tensor], batch: int, outputs: int) -> None:
    """If given: the numbers of each sample."""
    if name in targets:
        expect(f"targets of {name}", targets[name], NUMBERS, (batch, outputs))


def expect_next(
    name: str,
    targets: Mapping[str, Tensor],
    shape: tuple[int, int],
    length_b: Tensor | None,
    vocab: int,
    first: int = 1,
) -> None:
    """If given: ids; -100, what is before the first and past the length are not predicted."""
    if name in targets:
        target_bt = targets[name]
        expect(f"targets of {name} (ids)", target_bt, (torch.int64,), shape)
        if not within(target_bt, vocab - 1) and (length_b is None or readable(length_b)):
            counts_bt = target_bt != -100
            counts_bt[:, :first] = False
            if length_b is not None:
                counts_bt &= torch.arange(target_bt.shape[1]) < length_b[:, None]
            expect_range(f"targets of {name}", target_bt[counts_bt], vocab - 1)


def expect_type(name: str, x: Tensor, weight: Tensor) -> None:
    """Numbers of the type of the weights that they meet, where neither autocast nor others cast."""
    if x.dtype == weight.dtype or torch.is_autocast_enabled(x.device.type):
        return
    if type(weight) is nn.Parameter and weight.dtype in NUMBERS:
        found, wanted = spelled(x.dtype), spelled(weight.dtype)
        raise ValueError(f"{name} must be {wanted} as the model's weights are, is {found}")


def patches(length_b: Tensor | None, patch: int) -> Tensor | None:
    """Frames -> tokens of `patch` frames, rounded up."""
    return None if length_b is None else (length_b + patch - 1) // patch


def tubelets(length_b: Tensor | None, frames: int, area: int) -> Tensor | None:
    """Frames -> tokens: `area` for each tubelet of so many frames, rounded up."""
    return None if length_b is None else (length_b + frames - 1) // frames * area
