from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from scipy.stats import norm

from slime.arena import open_arena, tally_models
from slime.conformal import covered
from slime.errors import StoreError
from slime.fit import persistence
from slime.forecast import write_forecast
from slime.run.calibrated import (
    HalfWidths,
    calibrate,
    count_covered,
    count_errors,
    coverage_table,
    load_half_widths,
    save_half_widths,
)
from slime.split import Split


def walk(n=200):
    """A film whose pixels go a Gaussian step of 3 each frame, and all its windows of 2 leads."""
    steps = np.random.default_rng(0).normal(0, 3, (n, 1, 9, 11))
    film = xr.DataArray(
        np.cumsum(steps, axis=0).astype("float32"),
        dims=("time", "channel", "y", "x"),
        coords={"channel": ["0"]},
        name="walk",
    )
    where, _ = open_arena(
        [film],
        [{"val": Split("val", 0, n)}],
        "val",
        n_in=1,
        leads=2,
        step=1,
        memory_budget=1 << 24,
        device=torch.device("cpu"),
    )
    return where


def test_half_widths_of_a_walk_are_gaussian_and_grow_with_the_lead(tmp_path):
    where = walk()
    tally = tally_models({"still": lambda _: persistence}, where)["still"]
    found = calibrate(count_errors(lambda _: persistence, where, np.array([3.0])), tally)
    # persistence errs by 3 after a step, 3 sqrt(2) after two
    n = np.floor(found.n_blocks)[:, None]
    share = np.ceil((n + 1) * 0.9) / n
    wanted = norm.ppf((1 + share) / 2) * 3 * np.sqrt([[1], [2]])
    np.testing.assert_allclose(found.half, wanted, rtol=0.06)
    save_half_widths(found, tmp_path, "abc")
    read = load_half_widths(tmp_path, "abc")
    assert read is not None
    np.testing.assert_array_equal(read.half, found.half)
    assert load_half_widths(tmp_path, "other weights") is None
    (tmp_path / "intervals.json").write_text('{"half": [1]}')
    with pytest.raises(StoreError, match=r"intervals.json cannot be used"):
        load_half_widths(tmp_path, "abc")


def test_a_half_width_that_no_one_knows_stays_so(tmp_path):
    save_half_widths(HalfWidths(np.array([[1.5], [np.inf]]), np.array([20.0, 4.0])), tmp_path, "w")
    read = load_half_widths(tmp_path, "w")
    assert read is not None
    assert read.half.tolist() == [[1.5], [np.inf]]


def test_a_forecast_lies_between_its_ends_which_are_unknown_where_not_calibrated(tmp_path):
    ahead = xr.DataArray(
        np.arange(3 * 2 * 4 * 5, dtype="float32").reshape(3, 2, 4, 5),
        dims=("time", "channel", "y", "x"),
        coords={"channel": ["a", "b"]},
        name="m forecast",
        attrs={"frame_interval_s": None, "pixel_um": None},
    )
    write_forecast(ahead, tmp_path / "ahead.zarr", np.array([[0.5, 2.0], [1.0, np.inf]]))
    group = zarr.open_group(str(tmp_path / "ahead.zarr"), mode="r")
    for name, sign in (("lower", -1), ("upper", 1)):
        width = sign * (np.asarray(group[name]) - ahead.values)
        assert (width[0, 0] == 0.5).all()
        assert (width[0, 1] == 2).all()
        assert (width[1, 0] == 1).all()
        assert np.isnan(width[1, 1]).all()
        assert np.isnan(width[2]).all()


def test_coverage_of_a_walk_is_gaussian_and_as_sure_as_its_independent_pixels():
    where, half = walk(1000), norm.ppf(0.95) * np.array([[3.0], [3.0]])
    tally = count_covered(lambda _: persistence, where, half)
    share, (low, high) = coverage_table(tally, seed=0, n_draws=400, level=0.95)
    wanted = 2 * norm.cdf(norm.ppf(0.95) / np.sqrt([[1], [2]])) - 1
    np.testing.assert_allclose(share, np.repeat(wanted, 2, axis=1), atol=0.01)
    counts = count_errors(lambda _: persistence, where, np.array([3.0]))
    np.testing.assert_allclose(share[:, :1], covered(counts, half), atol=0.003)  # to a bin
    assert ((low < wanted) & (wanted < high)).all()
    binomial = 2 * 1.96 * np.sqrt(0.9 * 0.1 / (998 * 99))
    assert (high - low)[0, 1] == pytest.approx(binomial, rel=0.25)
    assert (high - low)[1, 1] > 1.5 * binomial  # windows of two leads overlap


def test_coverage_counts_pixels_of_the_mask_and_none_that_diverged():
    where, half = walk(8), np.array([[1e6]])
    wild = count_covered(lambda _: lambda past: past[:, -1] * np.nan, where, half)
    share, (low, high) = coverage_table(wild, seed=0, n_draws=20, level=0.95)
    assert share.tolist() == [[0, 0]]
    assert np.isnan(low).all()  # 6 windows are too few
    assert np.isnan(high).all()
    seen = np.zeros((9, 11), bool)
    seen[:2] = True
    film = where.movies[0].assign_coords(mask=(("y", "x"), seen))
    masked = count_covered(lambda _: persistence, replace(where, movies=[film]), half)
    assert (masked["n"] == 22).all()
    assert (masked["inside"] == 22).all()
