"""Names a spec may use: they become Python identifiers, so they are checked here, once."""

from __future__ import annotations

import keyword
import re
import sys
from typing import Annotated

from pydantic import AfterValidator

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)

RESERVED = frozenset(
    """
    self torch nn math tensor model lengths targets heads loss losses auxiliary statistics
    count index batch b training output q k device terms present absent visible rotation
    rotate tubelets int float bool str list dict tuple len range super sum min max any all zip
    enumerate print type object none known batch_size patches valid_tokens valid_whole
    check_inputs check_targets expect_numbers expect_ids expect_row expect_type expect_lengths
    expect_documents expect_classes expect_values expect_next expect_device expect_any
    join_valid visible_keys cross_entropy squared_error next_token
    masked_token contrastive total_loss smoothed_cross_entropy
    weighted_loss ponder_penalty exits numpy triton mmspec documents packed by_head visible_by_head
    visible_by_sample random_blocks mixed kernels sparse tables document_spans
    added expect_added by_code by_numbers with_lead valid_among
    with_id
    isinstance recorders take_keys take_context take_row one_slot document_places within_documents
    """.split()
)

ENDINGS = re.compile(
    r"_(tokens|fused|stream|embedding|fusion|head|mask|logits|predicted|states|steps|routing|exits|parts|spans|read)$"
    r"|_(sees|keeps|layers|norms)$"
    r"|_(b|bt|bn|bc|btd|qk|mlp|projection|place_t)$"
    r"|_to_|_sees_|_take_|_embedding_|_tokens_|_mask_|^[qk]_(row|column|frame|document)$"
)
"""The compiler builds its own names with these, so that none of the user's can meet them."""


def check_name(name: str) -> str:
    """Return `name` if it can safely become part of a Python identifier, else raise ValueError."""
    check_dim_name(name)
    if keyword.iskeyword(name) or name in RESERVED:
        raise ValueError(f"`{name}` is a reserved word; choose another name")
    if "__" in name or name.endswith("_"):
        raise ValueError("a name has no double underscore and does not end in one")
    return name


def check_dim_name(name: str) -> str:
    """Return `name` if it can stand in a size: no Python is made of it, so no word is reserved."""
    if not _NAME.fullmatch(name):
        plain = re.sub("[^a-z0-9]+", "_", name[:100].lower()).strip("_0123456789")
        joined = _joined(plain)
        advice = f"; write `{joined}`" if _NAME.fullmatch(joined) and _is_free(joined) else ""
        said = "a name is a lower-case letter, then letters, digits or _ (at most 40)"
        raise ValueError(f"{said}{advice}")
    return name


def check_package_name(name: str) -> str:
    """As `check_name`, for the spec itself: its package is imported by this name."""
    if name in _CLASSES:
        raise ValueError(f"`{name}` is a reserved word; choose another name")
    if name in sys.stdlib_module_names or name in _OF_OTHER_PYTHONS:
        raise ValueError(f"`{name}` is a module of Python; a package of that name would hide it")
    if name in _IMPORTED:
        raise ValueError(f"`{name}` is a package that others import; one of yours would hide it")
    return check_name(name)


def check_part_name(name: str) -> str:
    """As `check_name`, for modalities, streams and heads: they become variables and modules."""
    if ENDINGS.search(name):
        joined = _joined(name)
        advice = f"write `{joined}`" if _is_free(joined) else "rename it"
        raise ValueError(f"`{name}` holds a part that the compiler uses ({_PARTS}); {advice}")
    return check_name(name)


def check_variant_name(name: str) -> str:
    """As `check_part_name`, but words of Python are free: the stream's name stands before it."""
    if ENDINGS.search(f"_{check_dim_name(name)}"):
        raise ValueError(f"`{name}` is a word that the compiler uses; rename it")
    return name


def check_sublayer_name(name: str) -> str:
    """As `check_part_name`: an attribute of a block, beside its norms and what modules have."""
    if name in _OF_MODULES or name.endswith(
        ("_norm", "_norm_after", "_place", "_context", "_scale")
    ):
        raise ValueError(f"`{name}` is a word that a block has itself; rename it")
    return check_part_name(name)


def _joined(name: str) -> str:
    """A name without the underscores of what the compiler uses."""
    return ENDINGS.sub(lambda part: part[0].replace("_", ""), name)


def _is_free(name: str) -> bool:
    """Whether a name is one for a modality, a stream or a head."""
    try:
        return check_part_name(name) == name
    except ValueError:
        return False


_OF_OTHER_PYTHONS = frozenset(
    """
    test sitecustomize usercustomize aifc annotationlib asynchat asyncore audioop cgi cgitb chunk
    compression crypt distutils imghdr imp lib2to3 mailcap msilib nis nntplib ossaudiodev pipes
    smtpd sndhdr spwd sunau telnetlib tomllib uu xdrlib
    """.split()
)
"""Modules that Python looks for by itself, and those that some of its versions have."""
_IMPORTED = frozenset(
    """
    absl accelerate attr attrs backports certifi cffi charset_normalizer cloudpickle coverage cuda
    cupy cycler cython cython_runtime datasets dateutil diffusers dill distributed einops execnet
    expecttest fastapi filelock flash_attn flatbuffers fsspec functorch gmpy2 google h5py
    huggingface_hub hypothesis idna importlib_metadata importlib_resources inflect iniconfig
    intel_extension_for_pytorch ipykernel islpy jaraco jax jaxlib jinja2 joblib keras lightning
    llvmlite lxml markupsafe matplotlib ml_dtypes more_itertools mpmath msgpack mypy networkx ninja
    numba numexpr numpy nvidia nvtx onnx onnxruntime onnxscript opt_einsum optree packaging pandas
    pip pkg_resources platformdirs pluggy portalocker protobuf psutil pyarrow pybind11 pydantic
    pydantic_core pygments pynvml pytest pytorch_lightning redis regex requests rich ruamel
    safetensors scipy sentencepiece setuptools six sklearn soundfile sympy tabulate tensorboard
    tensorflow tensorrt threadpoolctl tiktoken timm tokenizers tomli torchao torchaudio torchgen
    torchtext torchvision tornado tqdm traitlets transformers triton typeguard typing_extensions
    typing_inspection tzdata urllib3 wheel xdist xformers yaml zipp zmq zstandard
    """.split()
)
"""What importing and running torch, triton or a package loads, and what stands beside them."""

_CLASSES = frozenset(
    """
    f any callable iterable iterator mapping named_tuple routing sequence tensor value_error
    true false cached_keys exit_stack key_cache key_recorder key_slots key_value
    masked_tensor
    """.split()
)
"""In CamelCase these are classes that a model file holds, and the model's would hide them."""
_OF_MODULES = frozenset(
    """
    add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dropout
    dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter
    get_submodule half ipu load_state_dict modules mtia named_buffers named_children named_modules
    named_parameters norm parameters rate register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook set_extra_state set_submodule
    share_memory state_dict sublayers to to_empty train training type variant xpu zero_grad
    """.split()
)
_PARTS = "_tokens, _fused, _stream, _embedding, _fusion, _head, _mask, _logits, _to_, ..."
Name = Annotated[str, AfterValidator(check_name)]
DimName = Annotated[str, AfterValidator(check_dim_name)]
PackageName = Annotated[str, AfterValidator(check_package_name)]
SublayerName = Annotated[str, AfterValidator(check_sublayer_name)]
VariantName = Annotated[str, AfterValidator(check_variant_name)]
PartName = Annotated[str, AfterValidator(check_part_name)]
