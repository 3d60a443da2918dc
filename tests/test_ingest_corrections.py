"""Corrections recover a truth that was planted, change nothing unasked, and are written down."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from jaxtyping import TypeCheckError
from scipy import ndimage

from slime.errors import SlimeError, StoreError
from slime.ingest import IngestSpec, ingest_movie
from slime.ingest.corrections import common_window, converted


def _convert(folder: Path, pixels: np.ndarray, **choices: Any) -> tuple[np.ndarray, zarr.Group]:
    number = len(list(folder.iterdir()))
    np.save(folder / f"m{number}.npy", pixels)
    out = ingest_movie(
        [str(folder / f"m{number}.npy")],
        IngestSpec(out=str(folder / f"o{number}.zarr"), **choices),
    )
    group = zarr.open_group(out, mode="r")
    stored: Any = group["frames"]
    return stored[:], group


def _scene(y: int = 60, x: int = 70, seed: int = 0) -> np.ndarray:
    """A smooth random picture, 0 to 1000, that repeats beyond its borders."""
    noise = np.random.default_rng(seed).normal(size=(y, x))
    smooth = ndimage.gaussian_filter(noise, 2, mode="wrap")
    return 1000 * (smooth - smooth.min()) / np.ptp(smooth)


def _choices(group: zarr.Group) -> Any:
    return group.attrs["provenance"]["corrections"]


SHIFTS = np.array([[0, 0], [3, -2], [5, 1], [-4, 6], [0, 2], [7, -5]])  # of the scene, y and x


@pytest.mark.parametrize("onto", ["first", "previous"])
def test_shifts_by_whole_pixels_are_undone_exactly(tmp_path, onto):
    scene = _scene().astype("uint16")
    moved = np.stack([np.roll(scene, tuple(s), (0, 1)) for s in SHIFTS])
    stored, group = _convert(tmp_path, moved, registration=onto)
    assert stored.dtype == np.uint16
    assert np.array_equal(group["shift_y"][:], -SHIFTS[:, 0])
    assert np.array_equal(group["shift_x"][:], -SHIFTS[:, 1])
    # moved by -4 to 7 rows and -5 to 6 columns: what all frames show lies between
    for frame in stored:
        assert np.array_equal(frame[0], scene[4 : 60 - 7, 5 : 70 - 6])
    told = _choices(group)["registration"]
    assert told["kept_y"] == [4, 53]
    assert told["upsample"] == 1


@pytest.mark.parametrize("method", ["correlation", "phase"])
def test_shifts_between_pixels_are_found_to_a_tenth(tmp_path, method):
    shifts = np.array([[0, 0], [0.5, -1.25], [2.3, 0.7], [-1.6, 3.45]])
    spectrum = np.fft.fft2(_scene())
    moved = np.stack([np.fft.ifft2(ndimage.fourier_shift(spectrum, s)).real for s in shifts])
    stored, group = _convert(
        tmp_path,
        moved.astype("float32"),
        registration="first",
        registration_upsample=20,
        registration_method=method,
    )
    found = np.stack([group["shift_y"][:], group["shift_x"][:]], axis=1)
    assert np.abs(found + shifts).max() < 0.1
    assert stored.dtype == np.float32
    inner = stored[:, 0, 3:-3, 3:-3]
    before = np.abs(moved[2] - moved[0])[8:-8, 8:-8].mean()
    assert np.abs(inner[2] - inner[0]).mean() < 0.1 * before


def test_shifts_of_a_noisy_camera_over_a_larger_scene_are_found(tmp_path):
    """New scene comes in at the border, and noise is a tenth of the contrast."""
    shifts = np.array([[0, 0], [3, -2], [-6.5, 4.25], [0.5, 1.25]])
    scene = 5 * _scene(200, 220)
    views = [ndimage.shift(scene, s, order=3)[40:160, 40:180] for s in shifts]
    noisy = np.stack(views) + np.random.default_rng(0).normal(0, 70, (4, 120, 140))
    _, group = _convert(tmp_path, noisy, registration="first", registration_upsample=20)
    found = np.stack([group["shift_y"][:], group["shift_x"][:]], axis=1)
    # a plain correlation of 120 x 140 pixels is off by about a tenth here, a phase one by a half
    assert np.abs(found + shifts).max() < 0.25


def test_registration_follows_one_channel_and_moves_all(tmp_path):
    scene, other = _scene().astype("uint16"), _scene(seed=1).astype("uint16")
    shifts = SHIFTS[:3]
    moved = np.stack(
        [np.stack([other, np.roll(scene, tuple(s), (0, 1))]) for s in shifts]
    )  # (t, c, y, x)
    _, group = _convert(
        tmp_path, moved, axes="tcyx", registration="first", registration_channel="1"
    )
    assert np.array_equal(group["shift_y"][:], -shifts[:, 0])
    _, group = _convert(tmp_path, moved, axes="tcyx", registration="first")
    assert not group["shift_y"][:].any()


def test_a_blank_frame_or_nan_cannot_be_registered(tmp_path):
    frames = np.stack([_scene()] * 3).astype("float32")
    blank, bad = frames.copy(), frames.copy()
    blank[1], bad[1, 2, 2] = 0, np.nan
    with pytest.raises(StoreError, match="frame 1 has one value all over"):
        _convert(tmp_path, blank, registration="first")
    with pytest.raises(StoreError, match="frames 0 to 2 hold NaN"):
        _convert(tmp_path, bad, registration="first")


def test_a_drift_out_of_the_picture_is_refused():
    assert common_window(np.array([[0.0, 0], [1.2, -3]]), 10, 10) == (slice(2, 10), slice(0, 7))
    with pytest.raises(SlimeError, match=r"leaves 1 of 10 pixels along y \(frame 1 is moved by"):
        common_window(np.array([[0.0, 0], [9, 0]]), 10, 10)


def test_a_flat_field_and_a_dark_frame_give_back_the_scene(tmp_path):
    rng = np.random.default_rng(0)
    scenes = np.stack([_scene(seed=i) for i in range(4)])
    yy, xx = np.mgrid[-1:1:60j, -1:1:70j]
    light = 1.5 - 0.4 * yy**2 - 0.3 * xx
    dark = rng.uniform(90, 110, (60, 70))
    np.save(tmp_path / "flat.npy", 2000 * light + dark)
    tifffile.imwrite(tmp_path / "dark.tif", dark.astype("float32"))
    stored, group = _convert(
        tmp_path, scenes * light + dark, flat=str(tmp_path / "flat.npy"),
        dark=str(tmp_path / "dark.tif"),
    )  # fmt: skip
    expected = scenes * light.mean()
    assert np.abs(stored[:, 0] - expected).max() < 1e-3 * expected.max()
    assert group["corrections/flat_gain"].shape == (1, 60, 70)
    assert _choices(group)["dark"]["mean"] == pytest.approx(dark.mean(), rel=1e-4)


def test_a_flat_field_is_estimated_from_many_scenes(tmp_path):
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[-1:1:60j, -1:1:70j]
    light = 1.5 - 0.4 * yy**2 - 0.3 * xx
    frames = rng.gamma(4, 50, (300, 60, 70)) * light + 100
    _, group = _convert(tmp_path, frames, flat="estimate", dark="100", flat_sigma_px=4.0)
    gain = group["corrections/flat_gain"][0]
    error = gain * light / light.mean() - 1
    # the blur bends the border, where it has no neighbours
    assert np.abs(error[8:-8, 8:-8]).max() < 0.03
    assert np.abs(1 / light * light.mean() - 1).max() > 0.5


@pytest.mark.parametrize("method", ["ratio", "exponential"])
def test_bleaching_is_undone(tmp_path, method):
    scene = _scene() + 50
    rate = 0.03
    fading = np.exp(-rate * np.arange(40))
    noise = np.random.default_rng(0).normal(0, 2, (40, 60, 70))
    stored, group = _convert(
        tmp_path, (scene * fading[:, None, None] + 20 + noise).astype("float32"),
        dark="20", bleach=method,
    )  # fmt: skip
    assert np.allclose(group["bleach_factor"][:, 0], 1 / fading, rtol=2e-3)
    means = stored.mean(axis=(1, 2, 3))
    assert np.abs(means / means[0] - 1).max() < 2e-3
    told = _choices(group)["bleach"]
    if method == "exponential":
        assert told["rate_per_frame"][0] == pytest.approx(rate, rel=1e-3)
        assert "over all frames" in told["method"]


def test_light_that_grows_or_blank_frames_are_no_bleaching(tmp_path):
    growing = np.stack([_scene() * (1 + 0.1 * i) for i in range(5)])
    with pytest.raises(SlimeError, match="channel '0' does not get darker"):
        _convert(tmp_path, growing, bleach="exponential")
    growing[2] = 0
    with pytest.raises(SlimeError, match="the mean of frame 2 is 0; it must be above 0"):
        _convert(tmp_path, growing, bleach="ratio")
    with pytest.raises(SlimeError, match="needs at least 3 frames, not 2"):
        _convert(tmp_path, growing[:2], bleach="exponential")


def test_nothing_is_changed_unless_asked(tmp_path):
    pixels = _scene()[None].repeat(3, 0).astype("uint16")
    stored, group = _convert(tmp_path, pixels)
    assert np.array_equal(stored[:, 0], pixels)
    assert _choices(group) == {}
    assert sorted(group.array_keys()) == ["channel", "frame_digest", "frames"]


def test_a_corrected_movie_is_stored_in_eight_bits_only_if_it_fits(tmp_path):
    pixels = np.full((3, 4, 5), 200, "uint8")
    pixels[1] = 100
    pixels[1, 0, 0] = 199  # 199 * 200 / 104.95 is beyond 255
    with pytest.raises(SlimeError, match=r"dtype=uint8 holds 0 to 255, but 1 pixels of frames 1 "):
        _convert(tmp_path, pixels, bleach="ratio", dtype="uint8")
    stored, _ = _convert(tmp_path, pixels, bleach="ratio", dtype="uint16")
    assert stored[1, 0, 0, 0] == round(199 * 200 / 104.95)


@pytest.mark.parametrize(
    ("values", "given", "wanted"),
    [
        ([256, 0], "uint16", "uint8"), ([-1, 3], "int16", "uint8"), ([40000, 1], "uint16", "int16"),
        ([1e39, 0], "float64", "float32"), ([70000.0, 0], "float32", "float16"),
        ([np.nan, 1], "float32", "uint8"), ([2**32, 1], "float32", "uint32"),
        ([255.6, 1], "float32", "uint8"), ([2, 1], "uint8", "bool"),
        ([-np.inf, 1], "float32", "int8"), ([70000, 1], "uint32", "float16"),
    ],
)  # fmt: skip
def test_no_value_is_clipped(values, given, wanted):
    frames = np.array(values, given).reshape(2, 1, 1, 1)
    with pytest.raises(SlimeError, match=rf"dtype={wanted} holds .* of frames 7 are beyond it"):
        converted(frames, np.dtype(wanted), 7)


def test_what_fits_is_rounded_to_the_nearest():
    frames = np.array([0.4, 0.6, 254.4, -0.4]).reshape(4, 1, 1, 1)
    assert converted(frames, np.dtype("uint8"), 0).ravel().tolist() == [0, 1, 254, 0]
    wide = np.array([0, 65535], "uint16").reshape(2, 1, 1, 1)
    assert converted(wide, np.dtype("float32"), 0).ravel().tolist() == [0, 65535]
    odd = np.array([np.nan, np.inf]).reshape(2, 1, 1, 1)
    assert np.array_equal(converted(odd, np.dtype("float32"), 0), odd, equal_nan=True)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"flat": "nowhere.tif"}, "flat=nowhere.tif: there is no such image"),
        ({"flat": "small.npy"}, r"small.npy has shape \(1, 3, 3\), but a frame is 60 x 70"),
        ({"flat": "three.npy"}, "three.npy holds 3 pictures for 1 channels"),
        ({"flat": "zero.npy"}, "1 pixels of it are 0 or less"),
        ({"dark": "nan.npy"}, "nan.npy holds NaN"),
        ({"registration": "first", "registration_channel": "red"}, "no channel 'red', but 0"),
    ],
)
def test_a_picture_that_does_not_fit_is_refused(tmp_path, monkeypatch, choices, message):
    monkeypatch.chdir(tmp_path)
    np.save("small.npy", np.ones((3, 3)))
    np.save("three.npy", np.ones((3, 60, 70)))
    np.save("nan.npy", np.full((60, 70), np.nan))
    zero = np.ones((60, 70))
    zero[3, 4] = 0
    np.save("zero.npy", zero)
    with pytest.raises(SlimeError, match=message):
        _convert(tmp_path, _scene()[None].repeat(2, 0), **choices)


def test_pictures_of_the_whole_frame_are_cropped_with_it(tmp_path):
    flat = np.add.outer(np.arange(60), np.arange(70)) + 1.0
    np.save(tmp_path / "flat.npy", flat)
    stored, _ = _convert(
        tmp_path, (flat * 3)[None].repeat(2, 0), flat=str(tmp_path / "flat.npy"), crop="5:20,7:30"
    )
    assert np.allclose(stored, 3 * flat[5:20, 7:30].mean(), rtol=1e-6)


def test_an_unknown_method_is_no_choice():
    with pytest.raises((SlimeError, TypeCheckError)):
        IngestSpec(out="a", bleach="fast")  # pyright: ignore[reportArgumentType]


def test_corrections_are_the_same_after_a_kill(tmp_path, monkeypatch):
    from slime.ingest.writing import Job

    fading = np.exp(-0.03 * np.arange(40))[:, None, None]
    pixels = ((_scene() + 50) * fading).astype("float32")
    choices = {"bleach": "exponential", "flat": "estimate", "chunk_frames": 4, "shard_frames": 8}
    whole, _ = _convert(tmp_path, pixels, **choices)
    np.save(tmp_path / "again.npy", pixels)
    write, calls = Job.write, []

    def stopped(self: Job, shards: Any) -> Any:
        calls.append(shards)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return write(self, shards)

    words, spec = [str(tmp_path / "again.npy")], IngestSpec(out=str(tmp_path / "b.zarr"), **choices)
    with monkeypatch.context() as patch:
        patch.setattr(Job, "write", stopped)
        with pytest.raises(KeyboardInterrupt):
            ingest_movie(words, spec)
    out = ingest_movie(words, spec)
    assert np.array_equal(zarr.open_array(out / "frames", mode="r")[:], whole)
