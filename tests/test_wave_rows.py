"""Power by wave number: the table, and the figure drawn from it."""

import numpy as np
import pytest
import torch
import xarray as xr
from test_results import meet, stay

from slime.errors import SlimeError
from slime.plots.waves import power_by_wave
from slime.split import Split
from slime.wave_rows import WAVE_COLUMNS, wave_table
from slime.wide import tally_wide, widened
from slime.yardstick import Yardstick

SIDE = 16


@pytest.fixture
def table():
    """Forecasts of a wave of 5 a frame, two channels: as it is, and at half its height."""
    x = 2 * np.pi * np.arange(SIDE) / SIDE
    t = np.arange(40)[:, None, None, None]
    frames = np.array([3.0, 1.0])[:, None, None] * np.cos(5 * x - t) + np.zeros((SIDE, 1))
    movie = xr.DataArray(
        frames.astype("float32"),
        dims=("time", "channel", "y", "x"),
        coords={"channel": ["cells", "camp"]},
        name="dish",
        attrs={"pixel_um": 2.0},
    )
    near, _ = meet(leads=4, movies=[movie], splits=[{"test": Split("test", 0, 40)}])
    flat = Yardstick(np.ones(2), np.zeros(2), np.ones(2), np.zeros(2), periodic=True)
    models = {"persistence": stay, "half": lambda _: lambda past: 0.5 * past[:, -1]}
    return wave_table(tally_wide(models, widened(near, 4)[0], flat), seed=7)


def test_powers_stand_in_the_ring_of_their_wave(table):
    assert tuple(table.columns) == WAVE_COLUMNS
    assert set(table.lead) == {1, 2, 4}
    assert set(table.unit) == {"1/um"}
    rows = table[(table.model == "half") & (table.channel == "cells") & (table.lead == 2)]
    assert len(rows) == SIDE // 2
    peak = rows.loc[rows.truth.idxmax()]
    assert peak.k == pytest.approx(5 / SIDE / 2)  # five waves in 16 pixels of 2 um
    assert peak.truth == pytest.approx(9 / 2, rel=1e-5)
    # halved at every step: a quarter of the height at lead 2
    assert peak.forecast == pytest.approx(9 / 2 / 16, rel=1e-5)
    assert rows.truth.sum() == pytest.approx(peak.truth, rel=1e-5)


def test_the_figure_shows_the_ratio_at_the_leads_asked_for(table):
    figure = power_by_wave(table, (1, 2, 8), split="test", channel="camp", net="half", lead_s=15.0)
    panels = figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == ["lead 1 (15 s)", "lead 2 (30 s)"]
    lines = {line.get_label(): line for line in panels[0].lines}
    at = np.argmin(np.abs(lines["half"].get_xdata() - 5 / SIDE / 2))
    assert lines["half"].get_ydata()[at] == pytest.approx(0.25, rel=1e-5)
    assert lines["persistence"].get_ydata()[at] == pytest.approx(1, rel=1e-5)
    assert figure.get_supxlabel() == "wave number (cycles/um)"
    with pytest.raises(SlimeError, match="no wave of channel 'none'"):
        power_by_wave(table, (1,), split="test", channel="none")


def test_without_a_pixel_size_waves_are_counted_by_pixels():
    near, _ = meet(leads=2, movies=None)
    flat = Yardstick(np.ones(2), np.zeros(2), np.ones(2), np.zeros(2))
    found = wave_table(tally_wide({"zero": zero_net}, widened(near, 2)[0], flat), seed=0)
    assert set(found.unit) == {"1/px"}
    assert sorted(set(found.k)) == [0.25, 0.5]  # of frames 4 pixels high


def zero_net(_):
    return lambda past: torch.zeros_like(past[:, -1])
