import json
import os
import pickle
import re
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import dask.array
import numpy as np
import pytest
import xarray as xr
import zarr

from slime.errors import SlimeError, StoreError
from slime.labels import experiment_of, store_label
from slime.movie import check_movie, every_nth, open_movie, open_movies, stored_frames

REAL = os.environ.get("SLIME_REAL_DATA")


def dataset(pixels, dims=("time", "y", "x"), **coords):
    return xr.Dataset({"frames": (dims, pixels)}, coords=coords)


@pytest.fixture
def written(tmp_path):
    """Writes a dataset as a group, by xarray."""

    def write(ds, name="dish.zarr", zarr_format=3, consolidated=False, **how):
        path = tmp_path / name
        ds.to_zarr(path, zarr_format=zarr_format, consolidated=consolidated, **how)
        return path

    return write


# --- the shapes that open ---


def test_a_bare_stack_of_a_lab_opens_as_it_lies_on_the_disk(bare):
    t, z, y, x = np.ogrid[:6, :3, :4, :5]
    pixels = (1000 * t + 100 * z + 10 * y + x + 1).astype("uint16")[:, None]
    pixels[2] = 0  # a frame never written
    pixels[4, 0, 1:] = 0  # slices never written
    path = bare(pixels, "dish 3 (left).zarr", chunks=(1, 1, 1, 4, 5))
    movie = open_movie(path)
    assert movie.dims == ("time", "channel", "y", "x")
    assert movie.dtype == np.uint16
    assert movie.name == movie.attrs["experiment"] == "dish 3 (left)"
    assert movie.attrs["frame_interval_s"] is None
    assert movie.attrs["pixel_um"] is None
    assert "time" not in movie.coords
    np.testing.assert_array_equal(movie.values, pixels.max(2))
    assert movie["blank"].values.tolist() == [False, False, True, False, False, False]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
def test_groups_written_by_xarray_open(written, numbered, zarr_format, consolidated):
    ds = dataset(numbered(7), time=("time", np.arange(7) * 20.0, {"units": "s"}))
    ds = ds.chunk(time=3)  # the last chunk is not full
    path = written(ds, zarr_format=zarr_format, consolidated=consolidated)
    movie = open_movie(path)
    assert movie.values[:, 0, 3, 4].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert movie["time"].values.tolist() == [0, 20, 40, 60, 80, 100, 120]
    assert movie["time"].attrs["units"] == "s"
    assert movie.attrs["frame_interval_s"] == 20


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_pixels_come_as_stored_whatever_cf_says(written, zarr_format):
    pixels = (np.arange(60).reshape(3, 4, 5) % 4).astype("uint8")
    ds = dataset(pixels)
    ds["frames"].attrs = {"scale_factor": 0.5, "add_offset": 3.0}
    encoding = {"frames": {"_FillValue": np.uint8(0)}}
    movie = open_movie(written(ds, zarr_format=zarr_format, encoding=encoding))
    assert movie.dtype == np.uint8
    np.testing.assert_array_equal(movie.values[:, 0], pixels)


def test_one_of_several_variables_is_chosen_by_name(written, numbered):
    ds = dataset(numbered(3))
    ds["other"] = ds["frames"] + np.uint16(10)
    ds["table"] = ("time", np.zeros(3))
    path = written(ds)
    with pytest.raises(
        SlimeError, match=r"several arrays .* choose data\.variable=frames or other"
    ):
        open_movie(path)
    assert open_movie(path, variable="other").values[:, 0, 0, 0].tolist() == [11, 12, 13]
    with pytest.raises(SlimeError, match=r"no array 'frame', but .*; did you mean frames\?"):
        open_movie(path, variable="frame")


def test_a_mask_beside_the_only_movie_is_not_taken_for_one(written, numbered):
    ds = dataset(numbered(3))
    ds["bad"] = (ds["frames"] > 100).astype("uint8")
    assert open_movie(written(ds), mask="~bad")["mask"].values.all()


AXES = {
    "TYX": (("time", "y", "x"), None),
    "TYXC": (("time", "y", "x", "channel"), "TYXC"),
    "TCYX": (("time", "channel", "y", "x"), "time,channel,y,x"),
    "CTYX": (("channel", "time", "y", "x"), ["c", "t", "row", "col"]),
    "XYT": (("x", "y", "time"), "x y t"),
    "ZXCTY": (("z", "x", "channel", "time", "y"), "zxcty"),
}


@pytest.mark.parametrize("order", AXES)
@pytest.mark.parametrize("named", ["by the user", "by the store"])
def test_any_order_of_axes_gives_the_same_movie(bare, order, named):
    dims, axes = AXES[order]
    t, c, z, y, x = np.ogrid[:6, :2, :3, :4, :5]
    whole = xr.DataArray(
        (1 + x + 10 * y + 100 * c + 1000 * z + 3000 * t).astype("uint16"),
        dims=("time", "channel", "z", "y", "x"),
    )
    part = whole.isel({d: 0 for d in whole.dims if d not in dims}).transpose(*dims)
    names = {"dimension_names": dims} if named == "by the store" else {}
    path = bare(part.values, chunks=tuple(min(2, n) for n in part.shape), **names)
    movie = open_movie(path, axes=axes if named == "by the user" else None)
    expected = part.max("z") if "z" in dims else part
    expected = expected if "channel" in dims else expected.expand_dims("channel")
    np.testing.assert_array_equal(movie.values, expected.transpose(*movie.dims).values)


def test_each_movie_of_a_store_opens_by_its_number(bare):
    pixels = np.arange(1, 2 * 3 * 20 + 1, dtype="uint16").reshape(2, 3, 4, 5)
    path = bare(pixels, chunks=(2, 2, 4, 5), dimension_names=("movie", "time", "y", "x"))
    movies = open_movies(path)
    assert [m.name for m in movies] == ["a dish[0]", "a dish[1]"]
    for i, movie in enumerate(movies):
        np.testing.assert_array_equal(movie.values[:, 0], pixels[i])
    assert [m.name for m in open_movies(path, movie=1)] == ["a dish[1]"]
    with pytest.raises(SlimeError, match=r"holds 2 movies: choose data\.movie=0 to 1"):
        open_movie(path)
    with pytest.raises(SlimeError, match=r"data\.movie=2: a dish holds movies 0 to 1"):
        open_movie(path, movie=2)


def test_four_unnamed_axes_are_refused_with_advice(bare, numbered):
    path = bare(numbered(3, 2))
    with pytest.raises(SlimeError, match=r"has 4 axes \(3, 2, 4, 5\) .* data\.axes=time,channel,y"):
        open_movie(path)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ("TYX", r"data\.axes=T,Y,X names 3 axes, but a dish has 4"),
        ("TCYQ", "axis 'Q' is none of movie, time"),
        ("TCYY", "needs time, y and x, each axis once"),
        ("CZYX", "needs time, y and x, each axis once"),
    ],
)
def test_axes_that_cannot_be_are_refused(bare, numbered, axes, message):
    with pytest.raises(SlimeError, match=message):
        open_movie(bare(numbered(3, 2)), axes=axes)


def test_a_picture_or_a_list_of_numbers_is_no_movie(bare):
    with pytest.raises(SlimeError, match="a movie needs at least time, y and x"):
        open_movie(bare(np.ones((4, 5), "uint8")))


def test_stores_without_pixels_are_refused(tmp_path, bare, numbered):
    zarr.create_group(tmp_path / "none.zarr")
    with pytest.raises(StoreError, match=r"no array of numbers with 3 or more axes \(no array\)"):
        open_movie(tmp_path / "none.zarr")
    with pytest.raises(StoreError, match="holds complex64, but pixels must be real"):
        open_movie(bare(np.ones((3, 4, 5), "complex64")))
    with pytest.raises(SlimeError, match="is empty"):
        open_movie(bare(np.ones((3, 0, 5), "uint8"), "flat.zarr", chunks=(1, 1, 1)))
    with pytest.raises(SlimeError, match=r"one bare array: data\.variable='frames' names none"):
        open_movie(bare(numbered(3), "bare.zarr"), variable="frames")


def test_open_arrays_and_groups_are_taken_as_they_are(bare, written, numbered):
    array = zarr.open_array(bare(numbered(3)), mode="r")
    assert open_movie(array).values[:, 0, 0, 0].tolist() == [1, 2, 3]
    group = zarr.open_group(written(dataset(numbered(3))), mode="r")
    assert open_movie(group).name == "dish"
    memory = zarr.create_array({}, shape=(3, 4, 5), dtype="u2")
    memory[:] = numbered(3)
    assert open_movie(memory).values[:, 0, 0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("dtype", [">u2", "int8", "float16", ">f4", "float64", "bool", "uint64"])
def test_real_numbers_of_any_type_come_as_they_are(bare, numbered, dtype):
    movie = open_movie(bare(numbered(3, dtype=dtype)))
    assert movie.dtype.kind == np.dtype(dtype).kind
    assert movie.dtype.itemsize == np.dtype(dtype).itemsize
    np.testing.assert_array_equal(movie.values[:, 0], numbered(3, dtype=dtype))


# --- choices ---


def channels_movie(written, numbered, names=("cells", "gfp", "cAMP")):
    pixels = numbered(4, 3) * np.array([1, 10, 100], "uint16")[:, None, None]
    ds = dataset(pixels, ("time", "channel", "y", "x"), channel=list(names))
    return written(ds.chunk(channel=2))


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")
@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (None, [1, 10, 100]),
        ("gfp", [10]),
        (2, [100]),
        (["cAMP", "cells"], [100, 1]),
        ([0, 2], [1, 100]),
        (["2", "gfp", "0"], [100, 10, 1]),
    ],
)
def test_channels_are_chosen_by_name_or_number_in_any_order(
    written, numbered, channels, expected, zarr_format
):
    pixels = numbered(4, 3) * np.array([1, 10, 100], "uint16")[:, None, None]
    names = ["cells", "gfp", "cAMP"]
    ds = dataset(pixels, ("time", "channel", "y", "x"), channel=names).chunk(channel=2)
    movie = open_movie(written(ds, zarr_format=zarr_format), channels=channels)
    assert movie.values[1, :, 2, 3].tolist() == [2 * v for v in expected]
    assert movie["channel"].values.tolist() == [names[[1, 10, 100].index(v)] for v in expected]
    assert movie[1:3, ::-1, 0, 0].values.tolist() == [
        [k * v for v in expected[::-1]] for k in (2, 3)
    ]


def test_wavelengths_name_channels_before_numbers_do(written, numbered):
    ds = dataset(numbered(2, 2), ("time", "channel", "y", "x"), channel=[488, 1])
    path = written(ds)
    assert open_movie(path, channels=488)["channel"].values.tolist() == ["488"]
    assert open_movie(path, channels=1)["channel"].values.tolist() == ["1"]


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ("cell", "no channel 'cell', but 0, 1"),
        (7, "no channel 7"),
        (-1, "no channel -1"),
        ([0, 0], "each once"),
        ([], "must name channels"),
    ],
)
def test_channels_that_are_not_there_are_refused(bare, numbered, channels, message):
    with pytest.raises(SlimeError, match=message):
        open_movie(bare(numbered(3, 2)), axes="TCYX", channels=channels)


def test_z_and_missing_are_checked(bare, numbered):
    path = bare(numbered(3, 1, 2))
    for z in (2, -1, "median"):
        with pytest.raises(SlimeError, match=r"has z slices 0 to 1; or max, or mean"):
            open_movie(path, z=z)
    assert open_movie(path, z="1").shape == (3, 1, 4, 5)
    with pytest.raises(SlimeError, match=r"data\.missing='zero' must be refuse or fill"):
        open_movie(path, missing="zero")


# --- lazy ---


def test_opening_reads_no_pixel_and_a_huge_movie_costs_nothing(tmp_path, reads):
    path = tmp_path / "huge.zarr"
    zarr.create_array(path, shape=(2**24, 64, 64), chunks=(1, 64, 64), dtype="u2")
    tracemalloc.start()
    began = time.perf_counter()
    movie = open_movie(path)
    took = time.perf_counter() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert movie.shape == (2**24, 1, 64, 64)
    assert movie.chunks is None  # no dask graph
    assert reads == []
    assert took < 1
    assert peak < 2_000_000


def test_only_the_chunks_asked_for_are_read(bare, numbered, reads):
    movie = open_movie(bare(numbered(40), chunks=(4, 4, 5)))
    cut = movie.isel(time=slice(8, 12)).isel(x=1)
    assert reads == []
    assert cut.values[:, 0, 0].tolist() == [9, 10, 11, 12]
    assert reads == ["a dish.zarr/c/2/0/0"]
    reads.clear()
    assert movie.isel(time=[39, 0]).values[:, 0, 0, 0].tolist() == [40, 1]
    assert sorted(reads) == ["a dish.zarr/c/0/0/0", "a dish.zarr/c/9/0/0"]


def test_any_indexing_gives_what_numpy_gives(bare):
    pixels = np.arange(1, 7 * 2 * 20 + 1, dtype="uint16").reshape(7, 2, 4, 5)
    movie = open_movie(bare(pixels, chunks=(2, 1, 3, 2)), axes="TCYX")
    for key in (
        np.s_[::-1],
        np.s_[5:1:-2, 0, ::-1, 1::2],
        np.s_[3],
        np.s_[:, ::-1],
        np.s_[2:2],
        np.s_[-1, -1, -1, -1],
    ):
        np.testing.assert_array_equal(movie[key].values, pixels[key])
    picked = movie.isel(time=[4, 0, 4], y=[3, 1], x=[0, 2, 3])
    np.testing.assert_array_equal(picked.values, pixels[[4, 0, 4]][:, :, [3, 1]][..., [0, 2, 3]])
    points = {"time": xr.DataArray([6, 0], dims="p"), "x": xr.DataArray([1, 4], dims="p")}
    np.testing.assert_array_equal(
        movie.isel(points).transpose("p", "channel", "y").values, pixels[[6, 0], :, :, [1, 4]]
    )
    np.testing.assert_array_equal(movie.isel(time=np.arange(7) % 2 == 0).values, pixels[::2])


def test_a_movie_chunked_by_dask_computes_the_same(bare, numbered):
    movie = open_movie(bare(numbered(7), chunks=(2, 4, 5)))
    chunked = movie.chunk(time=3)
    assert isinstance(chunked.data, dask.array.Array)
    np.testing.assert_array_equal(chunked.values, movie.values)
    assert float(chunked.mean().compute()) == 4  # the mean of 1 to 7


def test_only_an_unchanged_movie_tells_what_it_reads_from(bare, numbered):
    movie = open_movie(bare(numbered(7), chunks=(2, 4, 5)))
    stored = stored_frames(movie)
    assert stored is not None
    assert stored.chunk_frames == 2
    assert stored_frames(movie.assign_coords(k=3).rename("other")) is stored
    for changed in (movie[::-1], movie[:-1], movie.copy(data=movie.values), movie + 1):
        assert stored_frames(changed) is None


# --- units ---


@pytest.mark.parametrize(
    ("times", "attrs", "interval_s"),
    [
        ([0.0, 15, 30], {"units": "s"}, 15),
        ([10, 10.5, 11], {"units": "min"}, 30),
        ([0, 250, 500], {"units": "ms"}, 0.25),
        ([0, 1, 2], {"units": "hours"}, 3600),
        ([0, 1, 2], {"units": "s"}, 1),
        ([0, 30, 60], {}, 30),
        ([0, 1, 2], {}, None),
        ([1, 2, 3], {}, None),
        ([0, 5, 10], {"units": "frames"}, None),
        ([0, 30, 60], {"units": "seconds since 2020-01-01"}, 30),
        ([0, 1, 2], {"units": "days since 2020-01-01"}, 86400),
    ],
)
def test_times_come_in_seconds(written, numbered, times, attrs, interval_s):
    ds = dataset(numbered(3), time=("time", np.array(times), attrs))
    movie = open_movie(written(ds))
    assert movie.attrs["frame_interval_s"] == interval_s
    if interval_s is None:
        assert "time" not in movie.coords
    else:
        np.testing.assert_allclose(np.diff(movie["time"].values), interval_s)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_dates_and_durations_come_in_seconds(written, numbered, zarr_format):
    dates = np.datetime64("2024-02-28T23:59:30", "ns") + np.arange(3) * np.timedelta64(45, "s")
    ds = dataset(numbered(3), time=dates)
    movie = open_movie(written(ds, zarr_format=zarr_format))
    assert movie["time"].values.tolist() == [0, 45, 90]
    ds = dataset(numbered(3), time=np.arange(3) * np.timedelta64(90, "s").astype("m8[ns]"))
    movie = open_movie(written(ds, "durations.zarr", zarr_format=zarr_format))
    assert movie["time"].values.tolist() == [0, 90, 180]


@pytest.mark.parametrize(
    ("times", "place"),
    [
        ([0, 10, 20, 35, 45], r"frame 2 to 3 \(20 to 35 s, where 10 s is usual; 1 such"),
        ([0, 10, 10, 20, 30], r"frame 1 to 2 \(10 to 10 s"),
        ([0, 10, 20, 40, 30], r"frame 2 to 3 \(20 to 40 s, .* 2 such"),
        ([40, 30, 20, 10, 0], r"frame 0 to 1 \(40 to 30 s"),
        ([0, 10, np.nan, 30, 40], r"frame 1 to 2 \(10 to nan s, where 10 s is usual; 2 such"),
    ],
)
def test_uneven_times_are_refused_with_the_first_place(written, numbered, times, place):
    ds = dataset(numbered(5), time=("time", np.array(times, float), {"units": "s"}))
    path = written(ds)
    with pytest.raises(SlimeError, match=rf"time is uneven, first from {place}"):
        open_movie(path)
    movie = open_movie(path, frame_interval_s=10)
    assert movie["time"].values.tolist() == [0, 10, 20, 30, 40]
    assert movie.values[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5]


def test_what_is_no_store_is_refused_by_its_kind_in_one_line(numbered):
    for held, kind in (
        (numbered(3), "ndarray"),
        (xr.DataArray(numbered(3), dims=("time", "y", "x")), "DataArray"),
        (None, "NoneType"),
        (3, "int"),
    ):
        with pytest.raises(SlimeError, match=f"not from {kind}: .*check_movie") as refused:
            open_movie(held)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", ["0.5", True, np.inf, -1.0, [1.0]])
def test_a_movie_in_memory_has_units_that_are_numbers(value):
    movie = xr.DataArray(np.ones((3, 1, 4, 4)), dims=("time", "channel", "y", "x"), name="dish")
    for name in ("pixel_um", "frame_interval_s"):
        with pytest.raises(SlimeError, match=f"dish: {name}=.* must be above 0"):
            check_movie(movie.assign_attrs({name: value}))


def test_a_single_frame_keeps_the_interval_that_its_store_states(written, numbered):
    one = dataset(numbered(1), time=("time", [30.0], {"units": "s"})).assign_attrs(
        frame_interval_s=15.0
    )
    movie = open_movie(written(one))
    assert movie.attrs["frame_interval_s"] == 15
    assert movie["time"].values.tolist() == [30]


@pytest.mark.parametrize("name", ["dish.zarr.partial", ".dish.zarr.partial"])
def test_what_a_kill_left_is_told_of_under_the_name_it_was_to_have(tmp_path, name):
    zarr.create_array(tmp_path / name, shape=(3, 4, 4), chunks=(1, 4, 4), dtype="u1")
    (tmp_path / "dash.zarr").mkdir()
    with pytest.raises(SlimeError, match=rf"was not finished, {re.escape(name)} is .*again"):
        open_movie(tmp_path / "dish.zarr")


def test_six_axes_are_asked_for_six_names(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(1, 3, 1, 1, 4, 4), chunks=(1,) * 6, dtype="u1")
    with pytest.raises(SlimeError, match=r"instance data\.axes=movie,time,channel,z,y,x"):
        open_movie(tmp_path / "a.zarr")


def test_odd_time_axes_are_refused(written, numbered, tmp_path):
    path = written(dataset(numbered(3), time=("time", [0, 1, 2], {"units": "fortnights"})))
    with pytest.raises(SlimeError, match=r"time is in 'fortnights'.*data\.frame_interval_s"):
        open_movie(path)
    for interval in (0, -1, float("nan"), float("inf")):
        with pytest.raises(SlimeError, match=r"data\.frame_interval_s=.* must be above 0"):
            open_movie(path, frame_interval_s=interval)
        with pytest.raises(SlimeError, match=r"pixel_um=.* must be above 0"):
            open_movie(path, pixel_um=interval, frame_interval_s=1)
    group = zarr.open_group(tmp_path / "short.zarr", mode="w")
    group.create_array("frames", data=numbered(3), dimension_names=("t", "y", "x"))
    group.create_array("t", data=np.arange(5) * 2.0, dimension_names=("t",))
    with pytest.raises(SlimeError, match=r"3 frames, but 5 times"):
        open_movie(tmp_path / "short.zarr")


def test_a_time_axis_of_another_name_is_found(tmp_path, numbered):
    group = zarr.open_group(tmp_path / "dish.zarr", mode="w")
    group.create_array("frames", data=numbered(3), dimension_names=("t", "row", "col"))
    group.create_array("t", data=np.arange(3) * 2.0, attributes={"units": "min"})
    group.create_array("col", data=np.arange(5) * 0.65, attributes={"units": "micron"})
    movie = open_movie(tmp_path / "dish.zarr")
    assert movie.attrs["frame_interval_s"] == 120
    assert movie.attrs["pixel_um"] == pytest.approx(0.65)


@pytest.mark.parametrize(
    ("attrs", "interval_s"),
    [
        ({"frame_interval_s": 12}, 12),
        ({"frame_interval_s": "12"}, None),
        ({"frame_interval_s": True}, None),
        ({"frame_interval_s": -3}, None),
        ({"frame_interval_s": [12]}, None),
    ],
)
def test_attributes_tell_the_interval_where_they_are_positive_numbers(
    bare, numbered, attrs, interval_s
):
    movie = open_movie(bare(numbered(3), attributes=attrs))
    assert movie.attrs["frame_interval_s"] == interval_s
    assert ("time" in movie.coords) == (interval_s is not None)


def test_pixel_size_comes_from_attributes_or_even_axes(written, bare, numbered):
    assert open_movie(bare(numbered(3), attributes={"pixel_um": 0.5})).attrs["pixel_um"] == 0.5
    x = ("x", np.arange(5) * 325.0 + 7, {"units": "nm"})
    path = written(dataset(numbered(3), x=x))
    assert open_movie(path).attrs["pixel_um"] == pytest.approx(0.325)
    assert open_movie(path, pixel_um=2.0).attrs["pixel_um"] == 2
    uneven = ("x", [0.0, 1, 2, 3, 9], {"units": "um"})
    assert open_movie(written(dataset(numbered(3), x=uneven), "u.zarr")).attrs["pixel_um"] is None
    bare_x = written(dataset(numbered(3), x=np.arange(5.0)), "n.zarr")
    assert open_movie(bare_x).attrs["pixel_um"] is None
    flat = dataset(numbered(3), x=x, y=("y", np.arange(4) * 1.0, {"units": "um"}))
    with pytest.raises(SlimeError, match=r"not square \(0.325 um along x, 1 along y\)"):
        open_movie(written(flat, "flat.zarr"))
    with pytest.raises(SlimeError, match=r"pixel_um=-1 must be above 0"):
        open_movie(path, pixel_um=-1)


# --- names ---


@pytest.mark.parametrize(
    ("label", "experiment"),
    [
        ("dish 3_every5th", "dish 3"),
        ("dish 3 (every 5)", "dish 3"),
        ("dish 3 subsampled x5", "dish 3"),
        ("dish-sub", "dish"),
        ("dish_5x", "dish"),
        ("dish 3", "dish 3"),
        ("subset", "subset"),
        ("dish 5", "dish 5"),
    ],
)
def test_a_subsampling_suffix_is_not_part_of_the_experiment(label, experiment):
    said = experiment_of(label)
    assert said == experiment or (label == "dish 3 subsampled x5" and said.startswith("dish 3"))


def test_labels_are_file_stems(tmp_path):
    assert store_label("/data/my dish.ome.zarr/") == "my dish"
    assert store_label(Path("dish.v2.zarr")) == "dish.v2"
    assert store_label(".") == "movie"


def test_an_experiment_is_named_by_the_user_or_the_file(bare, numbered):
    path = bare(numbered(3), "dish_every5.zarr")
    assert open_movie(path).attrs["experiment"] == "dish"
    assert open_movie(path, experiment="other").attrs["experiment"] == "other"


def test_what_is_no_movie_is_refused(in_memory, numbered):
    movie = in_memory(numbered(3))
    assert check_movie(movie) is movie
    with pytest.raises(SlimeError, match=r"has axes .* but a movie has"):
        check_movie(movie.transpose("channel", "time", "y", "x"))
    with pytest.raises(SlimeError, match="holds complex128"):
        check_movie(movie.astype(complex))
    with pytest.raises(SlimeError, match="time is uneven"):
        check_movie(movie.assign_coords(time=[0.0, 1.0, 5.0]))
    with pytest.raises(SlimeError, match="frame_interval_s=0 must be above 0"):
        check_movie(movie.assign_attrs(frame_interval_s=0))


# --- the real one ---


@pytest.mark.skipif(not REAL, reason="SLIME_REAL_DATA names no folder")
def test_the_real_movie_opens_with_its_mask():
    path = Path(str(REAL)) / "dictyostelium_phase_contrast.zarr"
    first, second = open_movies(path, variable="frames", mask="~overlay_mask")
    assert first.shape == second.shape == (46, 1, 144, 297)
    assert first.attrs["frame_interval_s"] == 20
    assert first.dtype == np.uint8
    raw = zarr.open_group(path, mode="r")
    np.testing.assert_array_equal(second.values[:, 0], raw["frames"][1])
    np.testing.assert_array_equal(second["mask"].values, raw["overlay_mask"][1] == 0)
    share = [1 - float(m["mask"].mean()) for m in (first, second)]
    assert all(0.02 < s < 0.03 for s in share)  # its README says 2.2 to 2.5 %
    described = json.loads((path / "frames" / "zarr.json").read_text())
    assert tuple(described["shape"]) == (2, 46, 144, 297)


@pytest.mark.parametrize("engine", ["direct", "zarrs", "zarr"])
def test_a_movie_can_be_sent_to_another_process(bare, numbered, monkeypatch, engine):
    monkeypatch.setenv("SLIME_ENGINE", engine)
    path = bare(numbered(6), chunks=(2, 2, 5))
    movie = open_movie(path, axes="TYX")
    movie[:2].load()
    command = "import pickle, sys; print(pickle.load(sys.stdin.buffer)[3:].values.sum())"
    done = subprocess.run(
        [sys.executable, "-c", command], input=pickle.dumps(movie), capture_output=True, check=True
    )
    assert float(done.stdout) == movie[3:].values.sum()


def test_every_nth_frame_is_a_movie_of_a_longer_interval_and_no_pixel_is_read(
    bare, numbered, reads
):
    movie = open_movie(bare(numbered(11)), frame_interval_s=15)
    reads.clear()
    slow = every_nth(movie, 4)
    assert reads == []
    assert slow[:, 0, 0, 0].values.tolist() == [1, 5, 9]
    assert slow.time.values.tolist() == [0, 60, 120]
    assert (slow.attrs["frame_interval_s"], movie.attrs["frame_interval_s"]) == (60, 15)
    assert every_nth(movie.drop_attrs(), 2).attrs == {}
    with pytest.raises(SlimeError, match="every 0th frame"):
        every_nth(movie, 0)
