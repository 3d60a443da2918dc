"""Faults planted at strengths that an audit must see, and clean movies in which it sees none."""

import re

import numpy as np
import pytest
import zarr
from dishes import GAIN, OFFSET, dish, film, light, movie
from zarr.codecs import Crc32cCodec, ZstdCodec

from slime.audit import audit
from slime.movie import open_movie

SIGMA = np.sqrt(GAIN**2 * 400 + 9)  # counts, of the noise at middle light


def report_of(pixels, **how):
    return audit(movie(pixels), **how)


def found(report):
    """Frames by kind of all that is more than a note."""
    return {f.kind: list(f.frames) for f in report.findings if f.severity != "note"}


def notes(report):
    return {f.kind for f in report.findings if f.severity == "note"}


CLEAN = {
    "usual": {},
    "crowded and fast": {"n_cells": 200, "step_px": 2.0},
    "dim": {"n_cells": 5, "electrons": 20.0},
    "small and long": {"n_frames": 200, "y": 64, "x": 64},
}


@pytest.mark.parametrize("how", CLEAN.values(), ids=CLEAN)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_clean_dish_raises_no_alarm(how, seed):
    assert found(report_of(dish(seed=seed, **how))) == {}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64", "int16", "bool"])
def test_white_noise_raises_no_alarm(dtype):
    noise = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 256, (60, 40, 50))
    report = report_of(noise.astype(dtype))
    assert found(report) == {}
    assert notes(report) == {"noise"}


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 40, 50), (30, 1, 50), (30, 50, 1), (40, 2, 2)])
def test_movies_too_small_for_a_statistic_go_without(shape):
    pixels = np.random.default_rng(0).integers(1, 60_000, shape).astype("uint16")
    assert found(report_of(pixels)) == {}


def test_flat_gradients_are_frozen_and_no_more():
    ramp = np.broadcast_to(np.linspace(1, 1000, 64), (20, 48, 64))
    for pixels in (ramp.astype("float32"), ramp.astype("uint16")):
        assert found(report_of(pixels)) == {"frozen": list(range(1, 20))}
    rising = ramp + 3.0 * np.arange(20)[:, None, None]
    assert found(report_of(rising.astype("float32"))) == {}


def test_saturation_names_its_value_frames_and_share():
    expected = light()
    expected[20:40] *= 1.6
    clipped = np.minimum(film(expected), 2047).astype("uint16")
    n_held = (clipped == 2047).sum(axis=(1, 2))
    (finding,) = [f for f in report_of(clipped).findings if f.kind == "saturated"]
    assert list(finding.frames) == np.flatnonzero(n_held >= 4).tolist()
    assert "held at 2047" in finding.advice
    assert f"up to {100 * n_held.max() / clipped[0].size:.2g} %" in finding.advice
    assert finding.severity == "warning"
    assert "saturated" not in found(report_of(film(expected)))


@pytest.mark.parametrize("share", [1e-3, 1e-2])
def test_a_thousandth_of_saturated_pixels_is_seen(share):
    clean = dish()
    assert "saturated" in found(report_of(np.minimum(clean, int(np.quantile(clean, 1 - share)))))


@pytest.mark.parametrize("value", [0, 100, 900, 65535])
def test_dead_pixels_are_placed(value):
    pixels = dish()
    pixels[:, 40, 50] = pixels[:, 41, 50] = value
    (finding,) = [f for f in report_of(pixels).findings if f.severity == "warning"]
    assert finding.kind == "dead pixel"
    assert finding.places == ("y 40 x 50", "y 41 x 50")


def test_the_black_of_a_movie_without_noise_is_not_dead():
    pixels = np.zeros((40, 48, 64))
    rng = np.random.default_rng(0)
    for frame in pixels:
        for y, x in rng.integers(2, 46, (60, 2)):
            frame[y - 2 : y + 3, x - 2 : x + 3] = 200
    pixels[:, 20, 20] = 0  # never visited, with visited ones all around
    assert "dead pixel" not in found(report_of(pixels.astype("uint8")))


def test_hot_pixels_of_30_sigma_are_placed_and_stars_are_not():
    pixels = dish().astype(int)
    pixels[:, 20, 80] += int(30 * SIGMA)
    pixels[:, 70, 30] += int(30 * SIGMA)
    pixels[:, 71, 31] += int(30 * SIGMA)
    (finding,) = [f for f in report_of(pixels).findings if f.severity == "warning"]
    assert finding.kind == "hot pixel"
    assert finding.places == ("y 20 x 80", "y 70 x 30", "y 71 x 31")
    far = np.hypot(*np.ogrid[-4:5, -4:5])
    stars = dish().astype(float)
    stars[:, 16:25, 36:45] += 40 * SIGMA * np.exp(-0.5 * (far / 1.0) ** 2)
    assert found(report_of(stars)) == {}


def test_an_area_that_never_changes_is_a_note():
    pixels = dish()
    pixels[:, 80:, 100:] = 255
    report = report_of(pixels)
    assert found(report) == {}
    assert "still area" in notes(report)


def test_flicker_of_two_percent_is_seen():
    rng = np.random.default_rng(0)
    lamp = 1 + 0.02 * rng.standard_normal(200)
    report = report_of(film(light(200, 48, 64, n_cells=6) * lamp[:, None, None], offset=0.0))
    (finding,) = [f for f in report.findings if f.kind == "flicker"]
    size = float(finding.advice.split("jitters by ")[1].split(" %")[0])
    assert size == pytest.approx(100 * lamp.std(), rel=0.1)  # of 200 each is known to 5 %


def test_strong_flicker_is_a_warning():
    lamp = 1 + 0.05 * np.random.default_rng(0).standard_normal(60)
    assert found(report_of(film(light() * lamp[:, None, None]))).keys() >= {"flicker"}


@pytest.mark.parametrize("period", [4, 5, 9])
def test_light_that_swings_with_the_waves_is_no_flicker(period):
    swing = 1 + 0.1 * np.sin(2 * np.pi * np.arange(60) / period)
    assert "flicker" not in found(report_of(film(light() * swing[:, None, None])))


def test_bleaching_tells_the_half_life():
    lamp = 0.5 ** (np.arange(60) / 40)  # half in 40 frames
    dark = report_of(film(light() * lamp[:, None, None], offset=0.0))
    (finding,) = [f for f in dark.findings if f.kind == "bleaching"]
    half = float(finding.advice.split("half in ")[1].split(" frames")[0])
    assert half == pytest.approx(40, rel=0.05)
    assert finding.severity == "warning"


def test_a_tenth_of_the_light_lost_is_bleaching_and_growing_light_is_not():
    lamp = np.linspace(1, 0.88, 60)
    assert "bleaching" in found(report_of(film(light() * lamp[:, None, None])))
    assert found(report_of(film(light() * lamp[::-1, None, None]))) == {}


def test_light_that_comes_back_or_only_gathers_is_not_bleaching():
    lamp = np.interp(np.arange(60), [0, 20, 40, 59], [1, 0.7, 0.8, 0.88])
    assert "bleaching" not in found(report_of(film(light() * lamp[:, None, None])))
    gathered = light()
    gathered[:, :, 16:] *= np.linspace(1, 0.85, 60)[:, None, None]
    gathered[:, :, :16] *= np.linspace(1, 2.05, 60)[:, None, None]  # an eighth of the picture
    assert "bleaching" not in found(report_of(film(gathered)))


@pytest.mark.parametrize("x_px", [0.05, 0.3, 2.0])
def test_drift_is_measured(x_px):
    report = report_of(film(light(shift=(-x_px / 2, x_px))))
    (finding,) = [f for f in report.findings if f.kind == "drift"]
    numbers = re.findall(r"[+-][\d.e-]+(?= px along| along)", finding.advice)
    along_y, along_x = map(float, numbers)
    assert along_y == pytest.approx(-x_px / 2, abs=0.01 + 0.05 * x_px)
    assert along_x == pytest.approx(x_px, abs=0.01 + 0.05 * x_px)


def test_swapped_chunks_jump_where_chunks_begin(bare):
    pixels = dish(n_frames=96)
    pixels[16:32], pixels[64:80] = pixels[64:80].copy(), pixels[16:32].copy()
    path = bare(pixels, chunks=(16, 96, 128))
    assert found(audit(open_movie(path))) == {"jump at chunks": [16, 32, 64, 80]}


def test_a_chunk_of_another_run_and_an_odd_frame_jump():
    pixels = dish(n_frames=96)
    pixels[32:48] = dish(seed=9, n_frames=96)[32:48]
    pixels[70] = dish(seed=8, n_frames=96)[70]
    assert found(report_of(pixels)) == {"jump": [32, 48, 70, 71]}


def test_frames_that_come_again_later_are_duplicated():
    pixels = dish()
    pixels[40] = pixels[10]
    assert found(report_of(pixels))["duplicated"] == [40]


def test_a_repeated_chunk_is_told_from_single_frames(bare):
    pixels = dish(n_frames=64)
    pixels[48:64] = pixels[16:32]
    report = audit(open_movie(bare(pixels, chunks=(16, 96, 128))))
    assert found(report)["repeated chunk"] == list(range(48, 64))
    assert "duplicated" not in found(report)


def test_a_tile_copied_to_another_place_is_seen(bare):
    pixels = dish(n_frames=32)
    pixels[8:16, :48, :64] = pixels[16:24, 48:, :64]
    report = audit(open_movie(bare(pixels, chunks=(8, 48, 64))))
    assert found(report)["repeated chunk"] == list(range(16, 24))
    clean = audit(open_movie(bare(dish(n_frames=32), "b.zarr", chunks=(8, 48, 64))))
    assert found(clean) == {}


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_swapped_bytes_are_suspected(bare, dtype):
    pixels = film(light(electrons=4000.0)).astype(dtype)
    assert found(report_of(pixels)) == {}
    report = audit(open_movie(bare(pixels.byteswap())))
    assert "odd values" in found(report)


@pytest.mark.parametrize("depth", [60, 100, 300])
def test_swapped_bytes_of_smooth_pictures_are_suspected(bare, depth):
    t, y, x = np.ogrid[:20, :96, :128]
    wave = 500 + depth * np.sin((x + 2 * t) / 9) * np.cos((y - t) / 7)
    pixels = (wave + np.random.default_rng(0).normal(0, 6, wave.shape)).astype("uint16")
    assert "odd values" not in found(audit(open_movie(bare(pixels))))
    swapped = audit(open_movie(bare(pixels.byteswap(), "swapped.zarr")))
    assert "odd values" in found(swapped)


def test_any_bytes_may_be_read_the_other_way_round():
    numbers = np.random.default_rng(0).integers(0, 2**8, (20, 48, 64)).astype("uint32")
    # about 500 as they are; swapped, each is a NaN that signals
    report_of((0x4400A07F | (numbers << 16)).view("float32"))


def test_whole_numbers_declared_as_halves_are_suspected(bare):
    pixels = film(light(electrons=60.0)).clip(1, 1000)
    assert "odd values" in found(audit(open_movie(bare(pixels.view("float16")))))
    scaled = (pixels / 1000).astype("float16")
    assert "odd values" not in found(audit(open_movie(bare(scaled, "scaled.zarr"))))


def test_the_other_sign_is_suspected():
    bright = film(light(electrons=16500.0))
    assert 0.3 < (bright > 32767).mean() < 0.7
    assert "odd values" in found(report_of(bright.view("int16")))


@pytest.mark.parametrize(("gain", "read_noise"), [(0.5, 2.0), (2.0, 3.0), (8.0, 40.0)])
def test_photon_transfer_finds_the_gain(gain, read_noise):
    pixels = film(light(electrons=400 / gain), gain=gain, read_noise=read_noise)
    (fit,) = report_of(pixels, offset=OFFSET).noise
    assert abs(fit.gain - gain) < 3 * fit.gain_error
    assert fit.gain_error < 0.05 * gain
    assert fit.read_noise_most > read_noise
    if np.isfinite(fit.read_noise):
        assert fit.read_noise == pytest.approx(read_noise, rel=0.3)


def test_why_there_is_no_gain_is_said():
    rng = np.random.default_rng(0)
    why = {
        "about as bright": rng.poisson(400, (40, 64, 64)).astype("uint16"),
        "does not grow": np.linspace(100, 900, 64) + rng.normal(0, 9, (40, 64, 64)),
        "below the steps": np.round(light(40) / 60).astype("uint8"),
        "three frames in a row": dish(n_frames=2),
    }
    for words, pixels in why.items():
        (fit,) = report_of(pixels).noise
        assert words in fit.why
        assert np.isnan(fit.gain)
    assert report_of(dish()).noise[0].why == ""


def chunks_of(path):
    return sorted(p for p in (path / "c").rglob("*") if p.is_file())


def test_every_broken_chunk_is_listed_and_the_rest_is_read(bare):
    pixels = dish(n_frames=32)
    path = bare(pixels, chunks=(4, 96, 128))
    for k in (1, 6):
        file = path / "c" / str(k) / "0" / "0"
        file.write_bytes(file.read_bytes()[:100])
    report = audit(open_movie(path))
    (finding,) = report.errors
    assert finding.kind == "unreadable chunk"
    assert finding.places == ("c/1/0/0", "c/6/0/0")
    assert finding.frames == (4, 5, 6, 7, 24, 25, 26, 27)
    assert np.flatnonzero(~report.usable).tolist() == list(finding.frames)
    np.testing.assert_allclose(report.table.mean[8:24], pixels[8:24].mean(axis=(1, 2)))
    assert found(report).keys() == {"unreadable chunk"}


def test_pixels_beyond_float32_are_not_finite_and_nothing_else(bare):
    pixels = dish(n_frames=16).astype("float64")
    pixels[7, 20, 20:23] = 1e39, -1e300, 1.7e308
    (finding,) = audit(open_movie(bare(pixels, chunks=(4, 96, 128)))).errors
    assert (finding.kind, finding.frames) == ("not finite", (7,))


def test_a_folder_in_the_place_of_a_chunk_is_listed(bare):
    path = bare(dish(n_frames=16), chunks=(4, 96, 128))
    file = path / "c" / "2" / "0" / "0"
    file.unlink()
    file.mkdir()
    (finding,) = audit(open_movie(path)).errors
    assert (finding.places, finding.frames) == (("c/2/0/0",), (8, 9, 10, 11))


@pytest.mark.parametrize(
    "codecs", [[ZstdCodec(checksum=True)], [ZstdCodec(), Crc32cCodec()]], ids=["zstd", "crc32c"]
)
def test_a_flipped_bit_is_a_failed_checksum_where_there_is_one(bare, codecs):
    path = bare(dish(n_frames=8), chunks=(2, 96, 128), compressors=codecs)
    file = path / "c" / "2" / "0" / "0"
    held = bytearray(file.read_bytes())
    held[len(held) // 2] ^= 0x10
    file.write_bytes(bytes(held))
    report = audit(open_movie(path))
    (finding,) = report.errors
    assert (finding.kind, finding.places) == ("checksum", ("c/2/0/0",))
    assert "no checksum" not in notes(report)


@pytest.mark.parametrize("how", [{"zarr_format": 2}, {}, {"shards": (4, 96, 128)}])
def test_a_store_without_checksums_is_told_so(bare, how):
    report = audit(open_movie(bare(dish(n_frames=8), chunks=(2, 96, 128), **how)))
    assert "no checksum" in notes(report)


def test_lost_tiles_and_empty_shards_are_listed(bare):
    path = bare(dish(n_frames=12), chunks=(2, 48, 64))
    for k in (1, 4):
        (path / "c" / str(k) / "1" / "0").unlink()
    report = audit(open_movie(path))
    (finding,) = report.errors
    assert (finding.kind, finding.places) == ("missing tile", ("c/1/1/0", "c/4/1/0"))
    assert finding.frames == (2, 3, 8, 9)
    sharded = bare(dish(n_frames=12), "s.zarr", chunks=(2, 96, 128), shards=(4, 96, 128))
    (sharded / "c" / "1" / "0" / "0").write_bytes(b"")
    (finding,) = audit(open_movie(sharded)).errors
    assert (finding.kind, finding.frames) == ("empty shard", (4, 5, 6, 7))


def test_frames_lost_from_a_store_of_ours_are_an_error(bare):
    path = bare(dish(n_frames=12), config={"write_empty_chunks": True})
    zarr.open_array(path, mode="r+").attrs["written_by"] = "slime"
    (path / "c" / "5" / "0" / "0").unlink()
    (finding,) = audit(open_movie(path)).errors
    assert (finding.kind, finding.places, finding.frames) == ("lost chunk", ("c/5/0/0",), (5,))


def test_uneven_times_are_a_finding_with_the_first_place():
    uneven = movie(dish(n_frames=10)).assign_coords(time=("time", [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]))
    (finding,) = audit(uneven).errors
    assert finding.kind == "uneven time"
    assert "from frame 4 to 5" in finding.advice
