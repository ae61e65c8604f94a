"""Raw values as arrays, against values worked out by hand and by pillow and scipy."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from data_case import spec
from PIL import Image as Pillow

from mmspec.data.arrays import Fixed, Ragged
from mmspec.data.encode import audio, frames, image, names, table, target, tokens, video
from mmspec.data.source import Waveform
from mmspec.data.store import spooled
from mmspec.diagnostics import MmspecError


def modality(name: str, **other: str) -> Any:
    """A modality of the case, or one written out."""
    return spec(*([] if other else [name]), other=other).modalities[name]


def code(error: pytest.ExceptionInfo[MmspecError]) -> str:
    """The only code raised."""
    (diagnostic,) = error.value.diagnostics
    return diagnostic.code


def test_text_is_its_bytes() -> None:
    assert tokens.encode(modality("text"), "né!").tolist() == [110, 0xC3, 0xA9, 33]


def test_ids_stay_as_they_are() -> None:
    small = modality("text", text="{kind: tokens, vocab: 7, length: {max: 5}}")
    assert tokens.encode(small, [6, 0, 3]).tolist() == [6, 0, 3]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [([7], "MM507"), ([-1], "MM507"), ([0.5], "MM505"), ([[1], [2, 3]], "MM505"), ("a", "MM505")],
)
def test_ids_that_do_not_fit(raw: Any, expected: str) -> None:
    small = modality("text", text="{kind: tokens, vocab: 7, length: {max: 5}}")
    with pytest.raises(MmspecError) as error:
        tokens.encode(small, raw)
    assert code(error) == expected


def test_pixels_of_the_right_size_are_only_turned() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (4, 8, 3), np.uint8)
    assert (image.encode(modality("image"), pixels) == pixels.transpose(2, 0, 1)).all()


def test_an_image_is_shrunk_as_pillow_shrinks_it() -> None:
    ramp = np.add.outer(np.arange(12) * 9, np.arange(40) * 3).astype(np.uint8)
    pixels = np.stack([ramp, 255 - ramp, ramp // 2], 2)
    expected = np.asarray(Pillow.fromarray(pixels).resize((8, 4), Pillow.Resampling.BILINEAR))
    found = image.encode(modality("image"), pixels).transpose(1, 2, 0)
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("channels", "pixel", "expected"),
    [
        (3, [100], [100, 100, 100]),
        (3, [200, 0, 0, 0], [255, 255, 255]),
        (3, [200, 0, 50, 255], [200, 0, 50]),
        (1, [255, 0, 0], [76]),
        (1, [0, 51], [204]),
        (4, [10, 20, 30], [10, 20, 30, 255]),
        (2, [7, 9], [7, 9]),
    ],
)
def test_channels(channels: int, pixel: list[int], expected: list[int]) -> None:
    kind = f"{{kind: image, size: [1, 2], channels: {channels}, patch: 1}}"
    pixels = np.tile(np.array(pixel, np.uint8), (1, 2, 1))
    found = image.encode(modality("image", image=kind), pixels)
    assert found[:, 0, 0].tolist() == expected == found[:, 0, 1].tolist()


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [(np.float32, 1.0, 255), (np.uint16, 65535, 255), (">u2", 257, 1), (bool, True, 255)],
)
def test_full_brightness_of_each_type(kind: Any, value: Any, expected: int) -> None:
    pixels = np.full((4, 8), value, kind)
    assert (image.encode(modality("image"), pixels) == expected).all()


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.zeros((4, 8, 5), np.uint8), "MM505"),
        (np.zeros(4, np.uint8), "MM505"),
        (np.zeros((0, 8), np.uint8), "MM505"),
        (np.full((4, 8), 2.0), "MM505"),
        (np.full((4, 8), np.nan), "MM506"),
        ("cat.png", "MM505"),
    ],
)
def test_images_that_do_not_fit(pixels: Any, expected: str) -> None:
    with pytest.raises(MmspecError) as error:
        image.encode(modality("image"), pixels)
    assert code(error) == expected


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 3, 1, 2)])
@pytest.mark.parametrize("top", [255, 1.0])
def test_frames_of_a_video_in_either_order_and_as_light_or_bytes(
    order: tuple[int, ...], top: float
) -> None:
    pixels_fhwc = np.random.default_rng(3).integers(0, 256, (2, 4, 6, 3), np.uint8)
    given = pixels_fhwc if top == 255 else pixels_fhwc / 255
    found = video.encode(modality("clip"), given.transpose(order))
    assert found.dtype == np.uint8 and (found == pixels_fhwc.transpose(0, 3, 1, 2)).all()


def test_frames_of_one_channel_need_no_axis_for_it() -> None:
    grey = "{kind: video, size: [4, 6], channels: 1, patch: 2, rate: 25 Hz, length: {max: 3}}"
    pixels = np.random.default_rng(3).integers(0, 256, (2, 4, 6), np.uint8)
    assert (video.encode(modality("clip", clip=grey), pixels) == pixels[:, None]).all()
    assert video.encode(modality("clip"), []).shape == (0, 3, 4, 6)


@pytest.mark.parametrize(
    ("frames", "expected", "advice"),
    [
        (np.zeros((5, 4, 7, 3)), "MM505", "resize its frames, or change `size`"),
        (np.zeros((5, 6, 4, 3)), "MM505", "resize its frames, or change `size`"),
        (np.zeros((5, 4, 6, 4)), "MM505", "convert its frames, or change `channels` and `size`"),
        (np.zeros((4, 6, 3)), "MM505", "give one array of all frames"),
        (np.full((5, 4, 6, 3), 1.5), "MM505", "scale them, or store them as uint8"),
        (np.full((5, 4, 6, 3), np.nan), "MM506", "leave the row out"),
        (Waveform(np.zeros(5, np.float32), 50), "MM505", "kind: audio"),
    ],
)
def test_videos_that_do_not_fit(frames: Any, expected: str, advice: str) -> None:
    with pytest.raises(MmspecError) as error:
        video.encode(modality("clip"), frames)
    assert code(error) == expected
    assert advice in error.value.diagnostics[0].help


def test_series_stay_as_they_are() -> None:
    values = np.arange(6.0).reshape(2, 3)
    assert (frames.encode(modality("motion"), values.tolist()) == values).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros((3, 2)), "MM505"),
        (np.zeros(3), "MM505"),
        ([[1.0, np.inf, 0.0]], "MM506"),
        (Waveform(np.zeros(5, np.float32), 50), "MM505"),
    ],
)
def test_series_that_do_not_fit(values: Any, expected: str) -> None:
    with pytest.raises(MmspecError) as error:
        frames.encode(modality("motion"), values)
    assert code(error) == expected


def tone(hertz: float, rate: int, seconds: float = 0.5, scale: float = 1) -> Waveform:
    """A sine, of full scale unless told."""
    samples = scale * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)
    return Waveform(samples.astype(np.float32), rate)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_tone_sounds_in_its_band_at_any_rate(rate: int) -> None:
    highest = 2595 * np.log10(1 + 8000 / 700)
    middles = 700 * (10 ** (np.arange(1, 14) * highest / 14 / 2595) - 1)
    found = audio.log_mel(tone(middles[5], rate), 13, Fraction(100), 1000)
    assert found.shape == (50, 13)
    assert set(found[5:-5].argmax(1)) == {5}


def test_the_level_of_a_tone_is_its_power_through_the_window() -> None:
    """Against a sum over the window's spectrum by scipy, relative to a tone where the band is 1."""
    from scipy.signal import get_window  # takes seconds, in each process that collects tests

    corner = 700 * (10 ** (np.log10(1 + 8000 / 700) / 2) - 1)
    found, most = (audio.log_mel(tone(f, 8000), 1, Fraction(100), 1000) for f in (1000, corner))
    spectrum = np.fft.rfft(get_window("hann", 200, fftbins=False), 512)
    lobe = np.abs(spectrum / spectrum[0]) ** 2
    slope = 2 * (lobe[1:] * np.arange(1, 257)).sum() * 8000 / 512 / (lobe[0] + 2 * lobe[1:].sum())
    top = 1 - slope / 2 * (1 / corner + 1 / (8000 - corner))
    expected = np.log10(1000 / corner / top) / 4
    assert np.abs(found[5:-5] - most[5:-5] - expected).max() < 0.001


@pytest.mark.parametrize("rate", [400, 8000, 16000, 44100])
@pytest.mark.parametrize("bands", [1, 2, 13, 40])
def test_a_sine_of_full_scale_in_the_middle_of_a_band_is_one(rate: int, bands: int) -> None:
    highest = 2595 * np.log10(1 + 8000 / 700)
    middles = 700 * (10 ** (np.arange(1, bands + 1) * highest / (bands + 1) / 2595) - 1)
    for band, middle in enumerate(middles):
        if 160 < middle < rate / 2 - 80:  # where a window of 25 ms tells it from 0 and the top
            found = audio.log_mel(tone(middle, rate), bands, Fraction(100), 1000)[5:-5]
            assert np.abs(found[:, band] - 1).max() < 1e-4
            assert found.max() < 1.0001
            quarter = tone(middle, rate, scale=0.25)
            found = audio.log_mel(quarter, bands, Fraction(100), 1000)[5:-5]
            assert np.abs(found[:, band] - 1 - np.log10(1 / 16) / 4).max() < 1e-4


def test_every_band_has_a_bin_of_its_own() -> None:
    noise = np.random.default_rng(3).normal(size=16000) / 4
    found = audio.log_mel(Waveform(noise.astype(np.float32), 16000), 512, Fraction(100), 9)
    assert (found[1:] > -1).all()


@pytest.mark.parametrize(("rate", "expected"), [(40, 1), (100, 2), (120, 3)])
def test_a_window_of_a_few_samples_is_refused(rate: int, expected: int) -> None:
    sound = modality("audio", audio="{kind: audio, features: 8, rate: 100 Hz, length: {max: 9}}")
    with pytest.raises(MmspecError, match=f"a window has {expected}") as error:
        audio.encode(sound, tone(10, rate))
    assert code(error) == "MM506"
    with pytest.raises(MmspecError, match="MM506"):
        audio.log_mel(tone(10, rate), 8, Fraction(100), 9)
    assert np.isfinite(audio.encode(sound, tone(10, 160))).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(bad: float) -> None:
    samples = np.zeros(800, np.float32)
    samples[5] = bad
    with pytest.raises(MmspecError) as error:
        audio.encode(modality("audio"), Waveform(samples, 8000))
    assert code(error) == "MM506"


def test_silence_is_the_floor() -> None:
    silent = Waveform(np.zeros(800, np.float32), 8000)
    assert (audio.log_mel(silent, 13, Fraction(100), 1000) == -1).all()


@pytest.mark.parametrize(
    ("samples", "rate", "expected"),
    [
        (441, Fraction(100), 1),
        (442, Fraction(100), 2),
        (44100, Fraction(25, 2), 13),
        (0, Fraction(9), 0),
    ],
)
def test_frames_of_a_recording(samples: int, rate: Fraction, expected: int) -> None:
    sound = Waveform(np.zeros(samples, np.float32), 44100)
    assert len(audio.log_mel(sound, 3, rate, 1000)) == expected


def test_a_click_lies_in_the_frame_of_its_time() -> None:
    samples = np.zeros(8000, np.float32)
    samples[4000] = 1
    found = audio.log_mel(Waveform(samples, 8000), 4, Fraction(100), 1000)
    assert found.mean(1).argmax() == 50


def test_a_table_is_numbers_and_codes() -> None:
    kind = modality("facts")
    rows: list[Any] = [{"age": "3.5", "side": "right"}, {"age": 2, "side": "left"}]
    codes = table.learn(kind, rows, np.array([True, True]))
    assert table.encode(kind, codes, rows[0]).tolist() == [3.5, 1.0]
    assert table.encode(kind, codes, rows[1]).tolist() == [2.0, 0.0]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"age": 1}, "MM504"),
        ({"age": "old", "side": 0}, "MM505"),
        ({"age": "nan", "side": 0}, "MM506"),
        ({"age": 1, "side": 2}, "MM507"),
        ("left", "MM505"),
    ],
)
def test_tables_that_do_not_fit(row: Any, expected: str) -> None:
    kind = modality("facts")
    codes = table.learn(kind, [{"age": 1, "side": 0}], np.array([True]))
    with pytest.raises(MmspecError) as error:
        table.encode(kind, codes, row)
    assert code(error) == expected


def test_names_are_learnt_in_order_from_training_rows() -> None:
    known = names.learn(["dog", "ant", "dog", None], ["dog", "ant", "cow"], 3)
    assert known.names == ("ant", "dog")
    assert [known.id("ant"), known.id("dog")] == [0, 1]
    with pytest.raises(MmspecError) as error:
        known.id("doge")
    assert code(error) == "MM508"
    assert "did you mean dog?" in str(error.value)


def test_whole_numbers_are_ids() -> None:
    known = names.learn(["2", "0"], ["2", "0", "1"], 3)
    assert known.names is None
    assert [known.id("2"), known.id(np.int64(1))] == [2, 1]
    for value, expected in ((3, "MM507"), (True, "MM505"), ("one", "MM505")):
        with pytest.raises(MmspecError) as error:
            known.id(value)
        assert code(error) == expected


def test_too_many_names() -> None:
    with pytest.raises(MmspecError) as error:
        names.learn(list("abcd"), list("abcd"), 3)
    assert code(error) == "MM509"


@pytest.mark.parametrize(("raw", "expected"), [("1 -2.5", [1, -2.5]), ([1, -2.5], [1, -2.5])])
def test_numbers_to_regress_on(raw: Any, expected: list[float]) -> None:
    assert target.regressed(2, raw).tolist() == expected


@pytest.mark.parametrize(
    ("raw", "expected"), [("1", "MM505"), ("1 x", "MM505"), ([1, np.nan], "MM506")]
)
def test_targets_that_do_not_fit(raw: Any, expected: str) -> None:
    with pytest.raises(MmspecError) as error:
        target.regressed(2, raw)
    assert code(error) == expected


def test_ragged_values_are_cut_and_padded() -> None:
    items = [np.array([1, 2, 3]), None, np.array([4, 5, 6, 7, 8])]
    packed = Ragged.pack(items, 4, np.zeros(0, np.int64), spooled)
    assert packed.cut == 1
    assert packed.present.tolist() == [True, False, True]
    values, lengths = packed.take(np.array([2, 1, 0]), np.array([True, True, True]))
    assert values.tolist() == [[4, 5, 6, 7], [0, 0, 0, 0], [1, 2, 3, 0]]
    assert lengths.tolist() == [4, 0, 3]
    values, lengths = packed.take(np.array([2, 0]), np.array([False, True]))
    assert values.tolist() == [[0, 0, 0], [1, 2, 3]]
    assert lengths.tolist() == [0, 3]


def test_pixels_become_minus_one_to_one() -> None:
    packed = Fixed.pack([np.array([0, 255]), None], (2,), np.uint8, spooled)
    values, counts = packed.take(np.array([0, 1]), packed.present)
    assert values.tolist() == [[-1, 1], [0, 0]]
    assert counts.tolist() == [1, 0]
