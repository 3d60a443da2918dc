import numpy as np
import pytest
import xarray as xr
from dishes import dish, film, light, movie
from scipy.ndimage import fourier_shift

from slime.audit import audit
from slime.audit.drift import picture_shift
from slime.audit.measures import measure
from slime.audit.noise import level_variances
from slime.audit.pixel_maps import far_pixels, pixel_maps
from slime.audit.sampling import SamplePlan, quads, thumbnails
from slime.audit.stored_bytes import roughness
from slime.errors import SlimeError
from slime.frame_table import frame_table
from slime.movie import open_movie


def as_stored(bare, pixels, name="m.zarr", **how):
    return open_movie(bare(pixels, name, **how))


@pytest.mark.parametrize("pass_bytes", [1, 1 << 14, 1 << 24])
def test_measures_do_not_depend_on_how_the_movie_is_cut_into_blocks(bare, monkeypatch, pass_bytes):
    pixels = np.stack([dish(n_frames=40), dish(seed=3, n_frames=40)], axis=1)
    pixels[[7, 20]] = 0
    monkeypatch.setattr("slime.frames.PASS_BYTES", pass_bytes)
    stored = as_stored(bare, pixels, chunks=(1, 1, 96, 128), dimension_names=list("tcyx"))
    table, cut = measure(stored)
    monkeypatch.undo()
    plain, whole = measure(movie(pixels))
    assert table.flat.tolist() == plain.flat.tolist()
    assert table.digest[~table.flat].tolist() == plain.digest[~plain.flat].tolist()
    for name in ("mean", "top", "n_top", "second", "n_second", "thumb", "change"):
        own, other = (getattr(m, name)[~table.flat] for m in (cut, whole))
        np.testing.assert_allclose(own, other, err_msg=name)
    for name in ("low", "high", "n_high", "n_far"):
        np.testing.assert_array_equal(getattr(cut.maps, name), getattr(whole.maps, name))
    assert sorted(cut.samples.noise) == sorted(whole.samples.noise)
    for frame, held in whole.samples.noise.items():
        np.testing.assert_array_equal(cut.samples.noise[frame], held)
    assert sorted(cut.samples.crops) == sorted(whole.samples.crops)


def test_columns_are_what_numpy_says():
    pixels = np.random.default_rng(0).integers(1, 50, (9, 2, 20, 31)).astype("uint8")
    _, held = measure(movie(pixels))
    np.testing.assert_allclose(held.mean, pixels.mean(axis=(2, 3)))
    np.testing.assert_array_equal(held.top, pixels.max(axis=(2, 3)))
    np.testing.assert_array_equal(held.n_top, (pixels == 49).sum(axis=(2, 3)))
    np.testing.assert_array_equal(held.n_second, (pixels == 48).sum(axis=(2, 3)))
    np.testing.assert_array_equal(held.maps.high, pixels.max(axis=0))
    np.testing.assert_array_equal(held.maps.low, pixels.min(axis=0))
    np.testing.assert_array_equal(held.maps.n_high, (pixels == pixels.max(axis=0)).sum(axis=0))
    assert np.isnan(held.change[0]).all()
    assert held.tile is None


def test_the_change_is_that_of_all_pixels_where_frames_are_small():
    pixels = np.random.default_rng(0).integers(0, 99, (6, 1, 20, 30)).astype("uint16")
    _, held = measure(movie(pixels))
    own = (np.diff(pixels.astype(float), axis=0) ** 2).mean(axis=(2, 3))
    np.testing.assert_allclose(held.change[1:], own)


def test_masked_pixels_are_left_out():
    pixels = dish(n_frames=12).astype("float32")
    valid = np.ones((96, 128), bool)
    valid[:, :40] = False
    spoilt = pixels.copy()
    spoilt[:, :, :40] = np.nan
    spoilt[:, 3, 3] = 1e9
    masked = movie(spoilt).assign_coords(mask=(("y", "x"), valid))
    report = audit(masked)
    assert [f for f in report.findings if f.severity != "note"] == []
    np.testing.assert_allclose(report.measures.mean[:, 0], pixels[:, :, 40:].mean(axis=(1, 2)))
    assert report.measures.maps.high[0][valid].max() == pixels[:, valid].max()


def test_thumbnails_are_means_of_cells():
    pixels = np.random.default_rng(0).random((2, 1, 10, 12))
    by_hand = [[pixels[1, 0, a : a + 4, b : b + 4].mean() for b in (0, 4, 8)] for a in (0, 4, 8)]
    np.testing.assert_allclose(thumbnails(pixels, 4)[1, 0], by_hand)


def test_quads_are_neighbours():
    pixels = np.arange(1.0 * 7 * 9).reshape(1, 1, 7, 9)
    held = quads(pixels)
    assert held.shape == (1, 1, 12, 4)  # 3 rows of 4
    assert held[0, 0, 0].tolist() == [0, 1, 9, 10]
    assert held[0, 0, -1].tolist() == [4 * 9 + 6, 4 * 9 + 7, 5 * 9 + 6, 5 * 9 + 7]
    assert quads(np.zeros((1, 1, 1, 9))).shape == (1, 1, 0, 4)


def test_samples_of_a_long_movie_stay_small():
    million = SamplePlan((1_000_000, 2, 2048, 2048))
    assert len(million.crop_frames) <= 80
    assert million.nbytes < 1 << 30
    assert 2048 / million.thumb_cell == 4
    assert SamplePlan((100, 1, 2048, 1500)).thumb_cell == 128


def test_what_is_kept_must_fit_the_budget():
    with pytest.raises(SlimeError, match=r"an audit keeps .* data\.memory_gib is .*: raise it to"):
        measure(movie(dish(n_frames=4)), memory_budget=1 << 20)


def test_a_lone_pixel_stands_out_and_the_image_of_a_point_does_not():
    picture = np.random.default_rng(0).normal(100, 1, (300, 40))
    picture[270, 20] += 20
    picture[0, 0] -= 30
    assert np.argwhere(far_pixels(picture)).tolist() == [[0, 0], [270, 20]]
    far = np.hypot(*np.ogrid[-20:21, -20:21])
    assert not far_pixels(1000 * np.exp(-0.5 * (far / 0.8) ** 2)).any()


def test_maps_joined_are_maps_of_both():
    pixels = np.random.default_rng(0).integers(0, 9, (10, 1, 6, 7)).astype("uint8")
    counts = np.random.default_rng(1).random(pixels.shape) > 0.7
    whole = pixel_maps(pixels, counts, [1, 8])
    joined = pixel_maps(pixels[:4], counts[:4], [1]).joined(pixel_maps(pixels[4:], counts[4:], [4]))
    for name in ("low", "high", "n_high"):
        own, both = getattr(whole, name), getattr(joined, name)
        np.testing.assert_array_equal(own[whole.counted], both[whole.counted])
    assert joined.n_looked == 2


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.0, -5.0), (0.4, 0.7), (-20.25, 11.5)])
def test_a_shift_is_measured_to_a_fraction_of_a_pixel(shift):
    still = light(1, 128, 128)[0]
    moved = np.fft.ifft2(fourier_shift(np.fft.fft2(still), shift)).real
    assert picture_shift(film(still) * 1.0, film(moved, seed=1) * 1.0) == pytest.approx(
        shift, abs=0.15
    )


def test_pictures_that_have_nothing_in_common_have_no_shift():
    rng = np.random.default_rng(0)
    one, two = rng.random((2, 128, 128))
    assert np.isnan(picture_shift(one, two)).all()
    assert np.isnan(picture_shift(one * 0, two * 0)).all()


def test_half_of_a_gaussian_tells_its_variance_also_where_some_pixels_move():
    rng = np.random.default_rng(0)
    detail = rng.normal(0, np.sqrt(2) * 5, (2, 40_000))
    level = rng.random(40_000)
    _, variance, moving, n = level_variances(np.stack([level, *detail]))
    assert variance.mean() == pytest.approx(25, rel=0.02)
    assert moving == pytest.approx(1, abs=0.03)
    assert n.sum() == 40_000


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (np.random.default_rng(0).random((1, 400, 400)), 1.0),
        (
            np.sin(2 * np.pi * np.arange(400) / 40) * np.ones((1, 400, 1)),
            0.0123,
        ),  # 1 - cos(2 pi / 40)
    ],
)
def test_roughness_is_one_minus_the_correlation_of_neighbours(picture, expected):
    assert roughness(picture) == pytest.approx(expected, rel=0.02)


def test_the_cheap_table_is_the_full_one(bare):
    pixels = dish(n_frames=20)
    pixels[3] = 0
    stored = as_stored(bare, pixels)
    cheap, full = frame_table(stored), measure(stored)[0]
    for name in ("mean", "flat", "uniform", "digest", "n_nonfinite", "n_blank_slices"):
        np.testing.assert_array_equal(getattr(cheap, name), getattr(full, name))


def test_each_chunk_is_read_once(bare, reads, monkeypatch):
    monkeypatch.setattr("slime.frames.PASS_BYTES", 1)
    audit(as_stored(bare, dish(n_frames=24), chunks=(3, 96, 128)))
    assert sorted(reads) == [f"m.zarr/c/{i}/0/0" for i in range(8)]


def test_a_movie_that_dask_holds_is_audited(bare):
    stored = as_stored(bare, dish(n_frames=20))
    assert isinstance(stored, xr.DataArray)
    whole, chunked = audit(stored), audit(stored.chunk(time=3))
    np.testing.assert_allclose(whole.measures.change, chunked.measures.change)
