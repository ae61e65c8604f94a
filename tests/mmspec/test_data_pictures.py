"""The same picture gives the same pixels in whatever way it is kept; files are written by hand."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_case import spec
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mmspec.data import files
from mmspec.data.encode import image
from mmspec.diagnostics import MmspecError

Pixels = NDArray[Any]


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""Adam7: the first column and row of each pass, and the steps."""


def png(
    pixels: Any, depth: int, colour: int, *extra: tuple[bytes, bytes], laced: bool = False
) -> bytes:
    """A PNG of pixels [H, W, C] of a depth in bits; PNG's number says what the channels are."""
    values = np.asarray(pixels)
    height, width, _ = values.shape
    parts = [values[y::dy, x::dx] for x, y, dx, dy in PASSES] if laced else [values]
    lines = b"".join(packed(row, depth) for part in parts if part.size for row in part)
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(laced))
    chunks = [(b"IHDR", head), *extra, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def packed(row: Pixels, depth: int) -> bytes:
    """A line without a filter."""
    bits = [f"{int(value):0{depth}b}" for value in row.ravel()]
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return b"\0" + bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


def clear(*values: int) -> tuple[bytes, bytes]:
    """The colour that stands for clear."""
    return b"tRNS", struct.pack(f">{len(values)}H", *values)


def netpbm(kind: str, pixels: Pixels, top: int) -> bytes:
    """A PGM or PPM, binary or plain."""
    height, width = pixels.shape[:2]
    head = f"{kind}\n{width} {height}\n{top}\n".encode()
    if kind in ("P2", "P3"):
        return head + " ".join(str(int(value)) for value in pixels.ravel()).encode()
    return head + pixels.astype(">u2" if top > 255 else "u1").tobytes()


def tiff(pixels: Pixels, order: str, squeezed: bool = False) -> bytes:
    """A TIFF of 16 bits a channel, the bytes of each number in one of two orders."""
    height, width, channels = pixels.shape
    content = pixels.astype(f"{order}u2").tobytes()
    content = zlib.compress(content) if squeezed else content
    tags = [
        (256, 3, width),
        (257, 3, height),
        (259, 3, 8 if squeezed else 1),
        (262, 3, 2),
        (273, 4, 8),
    ]
    tags += [(277, 3, channels), (278, 3, height), (279, 4, len(content))]
    after = 8 + len(content)
    tags.append((258, 3, after))  # a depth for each channel, in front of the tags
    if channels == 4:
        tags.append((338, 3, 2))
    entries = b""
    for tag, kind, value in sorted(tags):
        count = channels if tag == 258 else 1
        wide = kind == 4 or count > 1
        kept = struct.pack(f"{order}I", value) if wide else struct.pack(f"{order}HH", value, 0)
        entries += struct.pack(f"{order}HHI", tag, kind, count) + kept
    depths = struct.pack(f"{order}{channels}H", *[16] * channels)
    magic = {"<": b"II*\0", ">": b"MM\0*"}[order]
    first = struct.pack(f"{order}I", after + len(depths))
    last = struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    return magic + first + content + depths + last


def saved(pixels: Pixels, kind: str, mode: str | None = None, **options: Any) -> bytes:
    """What pillow writes."""
    out = BytesIO()
    made = Image.fromarray(pixels)
    (made if mode is None else made.convert(mode)).save(out, kind, **options)
    return out.getvalue()


def read(folder: Path, content: bytes, channels: int, size: tuple[int, int]) -> Pixels:
    """A file as the model's pixels [C, H, W]."""
    path = folder / "picture.png"  # the content says what it is
    path.write_bytes(content)
    kind = f"{{kind: image, size: [{size[0]}, {size[1]}], channels: {channels}, patch: 1}}"
    modality = spec(other={"image": kind}).modalities["image"]
    assert modality.kind == "image"
    return image.encode(modality, files.image(path, modality.size))


def expected(grey: Pixels, opacity: Pixels, channels: int) -> Pixels:
    """Grey pixels of 0 to 255 as so many channels, worked out by hand."""
    on_white = np.rint(grey * (opacity / 255) + 255 - opacity)
    shown = on_white if channels in (1, 3) else grey
    layers = [shown] * (1 if channels < 3 else 3) + ([opacity] if channels in (2, 4) else [])
    return np.stack(layers)


LEVELS = np.array([[0, 1, 2, 3, 1], [3, 2, 1, 0, 2], [1, 1, 3, 2, 0]])
GREY = LEVELS * 85
FULL = np.full_like(GREY, 255)


def joined(*layers: Pixels) -> Pixels:
    """Layers as [H, W, C]."""
    return np.stack(layers, 2)


PALETTE = (b"PLTE", bytes(np.repeat(np.arange(4) * 85, 3).tolist()))

OPAQUE: dict[str, Callable[[], bytes]] = {
    "grey of 2 bits": lambda: png(joined(LEVELS), 2, 0),
    "grey of 4 bits": lambda: png(joined(LEVELS * 5), 4, 0),
    "grey of 8 bits": lambda: png(joined(GREY), 8, 0),
    "grey of 16 bits": lambda: png(joined(GREY * 257), 16, 0),
    "grey of 16 bits, laced": lambda: png(joined(GREY * 257), 16, 0, laced=True),
    "palette": lambda: png(joined(LEVELS), 8, 3, PALETTE),
    "palette of 2 bits": lambda: png(joined(LEVELS), 2, 3, PALETTE),
    "colour": lambda: png(joined(GREY, GREY, GREY), 8, 2),
    "colour of 16 bits": lambda: png(joined(GREY, GREY, GREY) * 257, 16, 2),
    "colour of 16 bits, laced": lambda: png(joined(GREY, GREY, GREY) * 257, 16, 2, laced=True),
    "grey and opacity": lambda: png(joined(GREY, FULL), 8, 4),
    "grey and opacity of 16 bits": lambda: png(joined(GREY, FULL) * 257, 16, 4),
    "colour and opacity": lambda: png(joined(GREY, GREY, GREY, FULL), 8, 6),
    "colour and opacity of 16 bits": lambda: png(joined(GREY, GREY, GREY, FULL) * 257, 16, 6),
    "PGM to 3": lambda: netpbm("P5", LEVELS, 3),
    "PGM to 15": lambda: netpbm("P5", LEVELS * 5, 15),
    "PGM to 255": lambda: netpbm("P5", GREY, 255),
    "PGM to 999": lambda: netpbm("P5", LEVELS * 333, 999),
    "PGM to 65535": lambda: netpbm("P5", GREY * 257, 65535),
    "plain PGM to 3": lambda: netpbm("P2", LEVELS, 3),
    "plain PGM to 999": lambda: netpbm("P2", LEVELS * 333, 999),
    "PPM to 3": lambda: netpbm("P6", joined(LEVELS, LEVELS, LEVELS), 3),
    "PPM to 999": lambda: netpbm("P6", joined(LEVELS, LEVELS, LEVELS) * 333, 999),
    "PPM to 65535": lambda: netpbm("P6", joined(GREY, GREY, GREY) * 257, 65535),
    "BMP": lambda: saved(GREY.astype(np.uint8), "BMP"),
    "GIF": lambda: saved(GREY.astype(np.uint8), "GIF"),
    "TIFF": lambda: saved(GREY.astype(np.uint8), "TIFF"),
    "TIFF of 16 bits": lambda: saved((GREY * 257).astype(np.uint16), "TIFF"),
    "TIFF of 16 bits, packed": lambda: saved(
        (GREY * 257).astype(np.uint16), "TIFF", compression="tiff_lzw"
    ),
    "TIFF of 16 bits, big end first": lambda: saved((GREY * 257).astype(">u2"), "TIFF"),
    "TIFF of floats": lambda: saved((GREY / 255).astype(np.float32), "TIFF"),
    "TIFF as inks": lambda: saved(joined(GREY, GREY, GREY).astype(np.uint8), "TIFF", "CMYK"),
    "WebP": lambda: saved(joined(GREY, GREY, GREY).astype(np.uint8), "WEBP", lossless=True),
    "TGA": lambda: saved(joined(GREY, FULL).astype(np.uint8), "TGA"),
}


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("name", OPAQUE)
def test_a_picture_is_the_same_however_it_is_kept(tmp_path: Path, name: str, channels: int) -> None:
    found = read(tmp_path, OPAQUE[name](), channels, (3, 5))
    assert found.tolist() == expected(GREY, FULL, channels).tolist()


OPACITY = np.where(LEVELS == 1, 0, 255)
CLEAR: dict[str, Callable[[], bytes]] = {
    "grey of 2 bits": lambda: png(joined(LEVELS), 2, 0, clear(1)),
    "grey of 4 bits": lambda: png(joined(LEVELS * 5), 4, 0, clear(5)),
    "grey of 8 bits": lambda: png(joined(GREY), 8, 0, clear(85)),
    "grey of 16 bits": lambda: png(joined(GREY * 257), 16, 0, clear(85 * 257)),
    "palette": lambda: png(joined(LEVELS), 8, 3, PALETTE, (b"tRNS", b"\xff\0")),
    "palette of 2 bits": lambda: png(joined(LEVELS), 2, 3, PALETTE, (b"tRNS", b"\xff\0\xff\xff")),
    "colour": lambda: png(joined(GREY, GREY, GREY), 8, 2, clear(85, 85, 85)),
    "colour of 16 bits": lambda: png(joined(GREY, GREY, GREY) * 257, 16, 2, clear(*[85 * 257] * 3)),
    "grey and opacity": lambda: png(joined(GREY, OPACITY), 8, 4),
    "grey and opacity of 16 bits": lambda: png(joined(GREY, OPACITY) * 257, 16, 4),
    "colour and opacity": lambda: png(joined(GREY, GREY, GREY, OPACITY), 8, 6),
    "colour and opacity of 16 bits": lambda: png(joined(GREY, GREY, GREY, OPACITY) * 257, 16, 6),
    "GIF": lambda: saved(GREY.astype(np.uint8), "GIF", transparency=85),
    "TIFF": lambda: saved(joined(GREY, GREY, GREY, OPACITY).astype(np.uint8), "TIFF"),
    "WebP": lambda: saved(
        joined(GREY, GREY, GREY, OPACITY).astype(np.uint8), "WEBP", lossless=True, exact=True
    ),
}


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("name", CLEAR)
def test_what_is_clear_is_the_same_however_it_is_kept(
    tmp_path: Path, name: str, channels: int
) -> None:
    found = read(tmp_path, CLEAR[name](), channels, (3, 5))
    assert found.tolist() == expected(GREY, OPACITY, channels).tolist()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("value", [0, 1])
def test_one_of_two_colours_may_be_clear(tmp_path: Path, channels: int, value: int) -> None:
    bits = LEVELS % 2
    found = read(tmp_path, png(joined(bits), 1, 0, clear(value)), channels, (3, 5))
    assert found.tolist() == expected(bits * 255, (bits != value) * 255, channels).tolist()
    found = read(tmp_path, png(joined(bits), 1, 0), channels, (3, 5))
    assert found.tolist() == expected(bits * 255, FULL, channels).tolist()


DEEP = np.array([[0, 128, 129, 200, 385], [386, 5000, 30000, 65407, 65535], [1, 2, 3, 4, 65406]])
TOP = np.full_like(DEEP, 65535)
SIXTEEN: dict[str, Callable[[], bytes]] = {
    "grey": lambda: png(joined(DEEP), 16, 0),
    "colour": lambda: png(joined(DEEP, DEEP, DEEP), 16, 2),
    "grey and opacity": lambda: png(joined(DEEP, TOP), 16, 4),
    "colour and opacity": lambda: png(joined(DEEP, DEEP, DEEP, TOP), 16, 6),
    "laced": lambda: png(joined(DEEP, TOP), 16, 4, laced=True),
    "TIFF of colour": lambda: tiff(joined(DEEP, DEEP, DEEP), "<"),
    "TIFF of colour, big end first": lambda: tiff(joined(DEEP, DEEP, DEEP), ">"),
    "TIFF of colour, squeezed": lambda: tiff(joined(DEEP, DEEP, DEEP), "<", squeezed=True),
    "TIFF of colour, squeezed, big end first": lambda: tiff(
        joined(DEEP, DEEP, DEEP), ">", squeezed=True
    ),
    "TIFF of colour and opacity": lambda: tiff(joined(DEEP, DEEP, DEEP, TOP), "<"),
    "PGM": lambda: netpbm("P5", DEEP, 65535),
    "plain PGM": lambda: netpbm("P2", DEEP, 65535),
    "PPM": lambda: netpbm("P6", joined(DEEP, DEEP, DEEP), 65535),
    "TIFF": lambda: saved(DEEP.astype(np.uint16), "TIFF"),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", SIXTEEN)
def test_sixteen_bits_are_rounded_to_the_nearest_of_eight(
    tmp_path: Path, name: str, channels: int
) -> None:
    found = read(tmp_path, SIXTEEN[name](), channels, (3, 5))
    assert found.tolist() == expected(np.rint(DEEP / 257), FULL, channels).tolist()


def test_a_clear_colour_of_sixteen_bits_is_that_colour_alone(tmp_path: Path) -> None:
    """129 and 200 have the same upper eight bits."""
    opacity = np.where(DEEP == 200, 0, 255)
    for content in (
        png(joined(DEEP), 16, 0, clear(200)),
        png(joined(DEEP, DEEP, DEEP), 16, 2, clear(200, 200, 200)),
    ):
        assert read(tmp_path, content, 4, (3, 5))[3].tolist() == opacity.tolist()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["grey", "clear", "deep", "TIFF"])
def test_pictures_stand_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    extra = (b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    content = {
        "grey": lambda: png(joined(GREY), 8, 0, extra),
        "clear": lambda: png(joined(GREY), 8, 0, clear(85), extra),
        "deep": lambda: png(joined(GREY, GREY, GREY) * 257, 16, 2, extra),
        "TIFF": lambda: saved(GREY.astype(np.uint8), "TIFF", exif=exif),
    }[kind]()
    plain = Image.fromarray(GREY.astype(np.uint8))
    plain.getexif()[0x0112] = orientation
    turned = np.asarray(ImageOps.exif_transpose(plain))
    opacity = np.where(turned == 85, 0, 255) if kind == "clear" else np.full_like(turned, 255)
    found = read(tmp_path, content, 4, (turned.shape[0], turned.shape[1]))
    assert found.tolist() == expected(turned, opacity, 4).tolist()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_of_several_pictures_the_first_is_read(tmp_path: Path, kind: str) -> None:
    shots = [Image.fromarray(GREY.astype(np.uint8)), Image.new("L", (5, 3), 255)]
    exact = {"lossless": True} if kind == "WEBP" else {}
    out = BytesIO()
    shots[0].convert("RGB").save(out, kind, save_all=True, append_images=shots[1:], **exact)
    assert read(tmp_path, out.getvalue(), 1, (3, 5)).tolist() == [GREY.tolist()]


def test_a_program_is_no_picture(tmp_path: Path) -> None:
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 3\n%%EndComments\nshowpage\n"
    with pytest.raises(MmspecError, match="EPS is a program"):
        read(tmp_path, content, 1, (3, 5))


@pytest.mark.parametrize(
    ("given", "wanted", "pixel", "result"),
    [
        (2, 4, [10, 100], [10, 10, 10, 100]),
        (4, 2, [10, 10, 10, 100], [10, 100]),
        (3, 2, [255, 0, 0], [76, 255]),
        (1, 2, [7], [7, 255]),
        (4, 3, [0, 100, 200, 51], [204, 224, 244]),
        (4, 1, [255, 0, 0, 51], [219]),
        (2, 3, [0, 51], [204, 204, 204]),
    ],
)
def test_channels_become_one_another(
    given: int, wanted: int, pixel: list[int], result: list[int]
) -> None:
    assert len(pixel) == given
    kind = f"{{kind: image, size: [1, 2], channels: {wanted}, patch: 1}}"
    modality = spec(other={"image": kind}).modalities["image"]
    assert modality.kind == "image"
    found = image.encode(modality, np.tile(np.array(pixel, np.uint8), (1, 2, 1)))
    assert found[:, 0, 1].tolist() == result


@pytest.mark.parametrize(("given", "wanted"), [(5, 3), (3, 5), (1, 6)])
def test_other_numbers_of_channels_have_no_meaning(given: int, wanted: int) -> None:
    kind = f"{{kind: image, size: [1, 2], channels: {wanted}, patch: 1}}"
    modality = spec(other={"image": kind}).modalities["image"]
    assert modality.kind == "image"
    with pytest.raises(MmspecError, match="MM505"):
        image.encode(modality, np.zeros((1, 2, given), np.uint8))
