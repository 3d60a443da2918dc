import numpy as np
import pytest
import xarray as xr
import zarr

from slime.errors import SlimeError, StoreError
from slime.movie import open_movie


def full(movie):
    """The mask along all axes of the movie."""
    return movie["mask"].variable.set_dims(dict(movie.sizes)).values


@pytest.fixture
def dish(tmp_path, numbered):
    """A group with frames (time 6, channel 3, y, x) and masks of each kind."""
    group = zarr.open_group(tmp_path / "dish.zarr", mode="w")
    dims = ("time", "channel", "y", "x")
    group.create_array("frames", data=numbered(6, 3), dimension_names=dims, chunks=(2, 2, 4, 5))
    t, c, y, x = np.ogrid[:6, :3, :4, :5]
    valid = (t + 2 * c + 3 * y + 5 * x) % 4 > 0  # differs along every axis
    group.create_array("valid", data=valid, dimension_names=dims, chunks=(2, 2, 4, 5))
    group.create_array("bad", data=(~valid).astype("uint8"), dimension_names=dims)
    group.create_array("roi", data=valid[0, 0], dimension_names=("y", "x"))
    group.create_array("iox", data=valid[0, 0].T.copy(), dimension_names=("x", "y"))
    group.create_array("moving", data=valid[:, 1], dimension_names=("t", "row", "col"))
    group.create_array("score", data=np.where(valid, 1.0, np.nan), dimension_names=dims)
    return tmp_path / "dish.zarr", valid


def test_a_mask_beside_the_movie_is_lazy_and_can_be_inverted(dish, reads):
    path, valid = dish
    for name in ("valid", "~bad"):
        movie = open_movie(path, variable="frames", mask=name)
        assert reads == []
        np.testing.assert_array_equal(full(movie), valid)
        assert movie["mask"].dtype == bool
        np.testing.assert_array_equal(full(movie[::-2, :, 1:3]), valid[::-2, :, 1:3])
        reads.clear()


@pytest.mark.parametrize("channels", [[0], [2, 0], ["1"], [2, 1, 0]])
def test_a_mask_of_all_channels_follows_the_choice_of_channels(dish, channels, tmp_path):
    path, valid = dish
    np.save(tmp_path / "valid.npy", valid)
    chosen = valid[:, [int(c) for c in channels]]
    for mask in ("valid", "~bad", str(tmp_path / "valid.npy"), valid):
        movie = open_movie(path, variable="frames", mask=mask, channels=channels)
        np.testing.assert_array_equal(full(movie), chosen)


def test_a_mask_of_the_chosen_channels_alone_fits_as_is(dish):
    path, valid = dish
    movie = open_movie(path, variable="frames", mask=valid[:, [2, 0]], channels=[2, 0])
    np.testing.assert_array_equal(full(movie), valid[:, [2, 0]])


def test_masks_without_time_or_channel_hold_for_all(dish):
    path, valid = dish
    everywhere = np.broadcast_to(valid[0, 0], (6, 3, 4, 5))
    named = xr.DataArray(valid[0, 0].T, dims=("x", "y"))
    for mask in ("roi", "iox", valid[0, 0], named, valid[:1, :1]):
        np.testing.assert_array_equal(
            full(open_movie(path, variable="frames", mask=mask)), everywhere
        )
    for mask in ("moving", valid[:, 1], valid[:, 1:2]):
        movie = open_movie(path, variable="frames", mask=mask)
        expected = np.broadcast_to(valid[:, 1:2], (6, 3, 4, 5))
        np.testing.assert_array_equal(full(movie), expected)


def test_masks_come_from_files_too(dish, tmp_path, bare, monkeypatch):
    path, valid = dish
    np.save(tmp_path / "my roi.npy", ~valid[0, 0])
    movie = open_movie(path, variable="frames", mask=f"~{tmp_path / 'my roi.npy'}")
    np.testing.assert_array_equal(full(movie)[3, 1], valid[0, 0])
    monkeypatch.setenv("HOME", str(tmp_path))
    movie = open_movie(path, variable="frames", mask="~/my roi.npy")
    np.testing.assert_array_equal(full(movie)[3, 1], ~valid[0, 0])
    other = bare(valid[:, 0].astype("uint8"), "mask.zarr")
    movie = open_movie(path, variable="frames", mask=other)
    np.testing.assert_array_equal(full(movie)[:, 2], valid[:, 0])


def test_over_z_a_pixel_counts_if_it_counts_in_every_slice_taken_in(bare):
    valid = np.ones((3, 1, 2, 4, 5), bool)
    valid[1, 0, 0, 2, 3] = valid[2, 0, 1, 0, 0] = False
    path = bare(np.ones((3, 1, 2, 4, 5), "uint8"))
    good = bare(valid, "good.zarr")
    bad = bare(~valid, "bad.zarr", chunks=(2, 1, 1, 4, 5))
    for z, expected in (("max", valid.all(2)), ("mean", valid.all(2)), (1, valid[:, :, 1])):
        for mask in (good, f"~{bad}", valid):
            np.testing.assert_array_equal(full(open_movie(path, z=z, mask=mask)), expected)


def test_each_movie_of_a_store_has_its_own_mask(bare):
    pixels = np.ones((2, 3, 4, 5), "uint8")
    valid = np.arange(120).reshape(2, 3, 4, 5) % 7 > 2
    path = bare(pixels)
    for mask in (bare(valid, "mask.zarr"), valid):
        for i in (0, 1):
            movie = open_movie(path, axes="movie,time,y,x", movie=i, mask=mask)
            np.testing.assert_array_equal(full(movie)[:, 0], valid[i])


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("vaild", r"no array 'vaild' and there is no such file; did you mean valid\?"),
        (np.ones((5, 4), bool), r"must fit the movie: y 5 \(the movie's: 4\), x 4"),
        (np.ones((6, 2, 4, 5), bool), r"channel 2 \(the movie's: 3\)"),
        (np.ones(5, bool), r"has 1 axes, but \(y, x\)"),
        (np.full((4, 5), np.nan), "holds NaN, which is neither"),
        (np.full((4, 5), "yes"), "needs true or false"),
    ],
)
def test_masks_that_do_not_fit_are_refused(dish, mask, message):
    with pytest.raises(SlimeError, match=message):
        open_movie(dish[0], variable="frames", mask=mask)


def test_masks_that_are_no_masks_are_refused(dish, tmp_path):
    path, _ = dish
    with pytest.raises(StoreError, match="holds NaN"):
        full(open_movie(path, variable="frames", mask="score"))
    np.save(tmp_path / "object.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(StoreError, match="is no array of numbers"):
        open_movie(path, variable="frames", mask=str(tmp_path / "object.npy"))
    with pytest.raises(SlimeError, match="is a group: name the array in it"):
        open_movie(path, variable="frames", mask=path)
