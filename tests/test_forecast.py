from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
import xarray as xr
import zarr
from torch import nn

from slime.checkpoint import SavedRun, Shape
from slime.errors import SlimeError
from slime.forecast import forecast_members, forecast_movie, write_forecast
from slime.nets import NetSpec
from slime.scale import Standardizer
from slime.stepper import Stepper


class NewestPlusOne(nn.Module):
    """Adds 1 in movie units to the newest frame, where the scale is 0 and 1."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, past):
        return past[:, -1] + 1


def saved(n_in=2, step=1, kind="cnn", channels=("cells", "camp")):
    unit = Standardizer(*(torch.full((len(channels),), v) for v in (0.0, 1.0, 1.0)))
    stepper = Stepper(unit, NewestPlusOne(), "direct", n_in).eval()
    shape = Shape(n_in, channels, 4, 5, step, frame_interval_s=15.0, pixel_um=50.0)
    return SavedRun(stepper, NetSpec(kind=kind), shape, "", 0, "hash", None)


def movie(n=10, **attrs):
    frames = np.arange(n, dtype="uint16")[:, None, None, None] * np.ones((n, 2, 4, 5), "uint16")
    return xr.DataArray(
        frames,
        dims=("time", "channel", "y", "x"),
        coords={"time": np.arange(n) * 15.0, "channel": ["cells", "camp"]},
        name="dish",
        attrs={"frame_interval_s": 15.0, "pixel_um": 50.0} | attrs,
    )


def test_a_forecast_goes_on_from_the_last_frame():
    ahead = forecast_movie(saved(), movie(), leads=3)
    assert ahead[:, 1, 2, 3].values.tolist() == [10, 11, 12]
    assert ahead["time"].values.tolist() == [150, 165, 180]
    assert ahead["lead"].values.tolist() == [1, 2, 3]


def test_a_forecast_may_start_at_a_chosen_frame():
    ahead = forecast_movie(saved(), movie(), leads=2, at=4)
    assert ahead[:, 0, 0, 0].values.tolist() == [5, 6]
    assert ahead["time"].values.tolist() == [75, 90]


def test_a_model_of_every_third_frame_forecasts_every_third():
    ahead = forecast_movie(saved(step=3), movie(), leads=2)
    assert ahead.attrs["frame_interval_s"] == 45
    assert ahead["time"].values.tolist() == [180, 225]


@pytest.mark.parametrize(
    ("changes", "arguments", "told"),
    [
        ({}, {"leads": 0}, "leads=0 must be at least 1"),
        ({}, {"leads": 1, "at": 10}, "at=10: the model reads 2 frames"),
        ({}, {"leads": 1, "at": 0}, "at=0: the model reads 2 frames"),
        ({"frame_interval_s": 30.0}, {"leads": 1}, "30 s a frame, but the model was trained on 15"),
        ({"pixel_um": 1.0}, {"leads": 1}, "1 um a pixel, but the model was trained on 50"),
    ],
)
def test_a_movie_that_the_model_does_not_fit_is_refused(changes, arguments, told):
    with pytest.raises(SlimeError, match=told):
        forecast_movie(saved(), movie(**changes), **arguments)


def test_units_may_be_mixed_when_the_user_says_so():
    assert len(forecast_movie(saved(), movie(pixel_um=1.0), leads=1, mix=True)) == 1


def test_other_channels_are_refused():
    with pytest.raises(SlimeError, match="has channels camp, cells in this order"):
        forecast_movie(saved(), movie().isel(channel=[1, 0]), leads=1)
    with pytest.raises(SlimeError, match="has channels cells, but the model"):
        forecast_movie(saved(), movie().isel(channel=[0]), leads=1)


def test_blank_frames_are_no_start():
    blank = movie().assign_coords(blank=("time", np.arange(10) == 8))
    with pytest.raises(SlimeError, match="frames 8, which the forecast starts from, are blank"):
        forecast_movie(saved(), blank, leads=1)
    assert forecast_movie(saved(), blank, leads=1, at=7)[0, 0, 0, 0] == 8


def test_frames_written_as_all_zero_are_no_start():
    dark = movie()
    dark[9] = 0
    with pytest.raises(SlimeError, match="frames 9, which the forecast starts from, are blank"):
        forecast_movie(saved(), dark, leads=1)


def test_a_forecast_that_cannot_be_written_says_why(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SlimeError, match="cannot be made"):
        write_forecast(forecast_movie(saved(), movie(), leads=1), tmp_path / "file" / "f.zarr")


def test_a_frame_mlp_forecasts_its_own_size_alone():
    with pytest.raises(SlimeError, match="3 x 5 pixels, but a frame_mlp"):
        forecast_movie(saved(kind="frame_mlp"), movie().isel(y=slice(3)), leads=1)


def test_a_forecast_is_written_as_ome_zarr_with_units(tmp_path):
    write_forecast(forecast_movie(saved(), movie(), leads=3), tmp_path / "f.zarr")
    group = zarr.open_group(str(tmp_path / "f.zarr"), mode="r")
    scale = group.attrs["ome"]["multiscales"][0]
    assert [a.get("unit") for a in scale["axes"]] == ["second", None, "micrometer", "micrometer"]
    transforms = scale["datasets"][0]["coordinateTransformations"]
    assert transforms[0]["scale"] == [15, 1, 50, 50]
    assert transforms[1]["translation"] == [150, 0, 0, 0]
    assert np.asarray(group["0"][:, 0, 0, 0]).tolist() == [10, 11, 12]
    assert [c["label"] for c in group.attrs["ome"]["omero"]["channels"]] == ["cells", "camp"]
    assert [p.name for p in tmp_path.iterdir()] == ["f.zarr"]


def test_a_forecast_is_written_as_ome_tiff_with_units(tmp_path):
    write_forecast(forecast_movie(saved(), movie(), leads=3), tmp_path / "f.tif")
    with tifffile.TiffFile(tmp_path / "f.tif") as tiff:
        assert (tiff.series[0].axes, tiff.series[0].shape) == ("TCYX", (3, 2, 4, 5))
        assert tiff.asarray()[:, 1, 0, 0].tolist() == [10, 11, 12]
        assert 'PhysicalSizeX="50.0"' in tiff.ome_metadata
        assert 'TimeIncrement="15.0"' in tiff.ome_metadata


def test_a_forecast_overwrites_nothing(tmp_path):
    ahead = forecast_movie(saved(), movie(), leads=1)
    (tmp_path / "f.zarr").mkdir()
    with pytest.raises(SlimeError, match="is already there"):
        write_forecast(ahead, tmp_path / "f.zarr")
    with pytest.raises(SlimeError, match=r"must end in \.zarr, \.tif, \.tiff"):
        write_forecast(ahead, tmp_path / "f.png")


class NewestPlus(nn.Module):
    """Adds a number in movie units to the newest frame."""

    def __init__(self, number):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(number))

    def forward(self, past):
        return past[:, -1] + self.weight


def member(number, n_in=2, **shape):
    base = saved(n_in)
    stepper = Stepper(base.stepper.scale, NewestPlus(number), "direct", n_in).eval()
    own = replace(base.shape, **shape)
    return replace(base, stepper=stepper, shape=own, weights_hash=f"hash {number:g}")


def test_an_ensemble_is_the_mean_of_rollouts_with_their_spread_beside_it(tmp_path):
    members = {"a": member(1.0), "b": member(2.0, n_in=3), "c": member(6.0)}
    ahead, spread = forecast_members(members, movie(), leads=2)
    # from 9 on: 10, 11, 15, then 11, 13, 21; squared distances 4, 1, 9, then 16, 4, 36
    assert ahead[:, 1, 2, 3].values.tolist() == [12, 15]
    np.testing.assert_allclose(spread[:, 1, 2, 3], [7**0.5, 28**0.5], rtol=1e-6)
    write_forecast(ahead, tmp_path / "f.zarr", spread=spread)
    group = zarr.open_group(str(tmp_path / "f.zarr"), mode="r")
    assert set(group.array_keys()) == {"0", "spread"}
    np.testing.assert_array_equal(np.asarray(group["0"]), ahead.values)
    np.testing.assert_array_equal(np.asarray(group["spread"]), spread)
    assert group.attrs["n_members"] == 3
    assert group.attrs["weights_hash"] == "hash 1, hash 2, hash 6"


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ({"channels": ("cells", "erk")}, "trained on cells, camp and cells, erk channels"),
        ({"step": 3}, "trained on 1 and 3 frames a step"),
        ({"frame_interval_s": 30.0}, "trained on 15 and 30 s a frame"),
        ({"pixel_um": None}, "trained on 50 and unknown um a pixel"),
    ],
)
def test_members_of_unlike_forecasts_are_refused(shape, told):
    members = {"a": member(1.0), "b": member(2.0, **shape)}
    with pytest.raises(SlimeError, match=f"a and b cannot be one ensemble: {told}"):
        forecast_members(members, movie(), leads=1, mix=True)


def test_an_ensemble_of_one_is_refused():
    with pytest.raises(SlimeError, match="an ensemble of 1 members: at least 2 are needed"):
        forecast_members({"a": member(1.0)}, movie(), leads=1)
