"""The command as a user types it: tables of movies with and without units, masks and gaps."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scripts_by_name import script

from slime.command import run_command
from slime.errors import SlimeError
from slime.frames import GIB
from slime.observables.measure import measure
from slime.observables.reading import needed_nbytes, read_field
from slime.observables.table import Row, csv_text, mean_row, spread_row
from slime.plots.observables import observables_page


@pytest.fixture
def main(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return script("measure_movie")


def waves(n=90, y=20, x=30):
    """Plane waves of 20 frames that move 2 pixels a frame, in counts."""
    t = np.arange(n)[:, None, None]
    return np.broadcast_to(
        1000 + 500 * np.cos(2 * np.pi * (t - np.arange(x) / 2) / 20), (n, y, x)
    ).astype("uint16")


def rows_of(folder, **equal):
    table = pd.read_csv(folder / "observables.csv").set_index("observable")
    for column, value in equal.items():
        table = table[table[column] == value]
    return table


def test_a_movie_with_units_is_measured_in_them(main, bare, tmp_path, capsys):
    store = str(bare(waves()))
    assert main([store, "frame_interval_s=15", "pixel_um=50", "out=seen", "smooth_px=0"]) == 0
    table = rows_of(tmp_path / "seen")
    assert table.value["period"] == pytest.approx(300, rel=5e-3)
    assert table.unit["period"] == "s"
    assert table.value["period_crossings"] == pytest.approx(300, rel=5e-3)
    assert table.value["wave_speed"] == pytest.approx(2 * 50 / 15, rel=0.01)
    assert table.unit["wave_speed"] == "um/s"
    assert table.value["wavelength"] == pytest.approx(2000, rel=0.015)
    assert table.value["n_singularities"] == 0
    series = pd.read_csv(tmp_path / "seen" / "series.csv")
    assert series.frame.tolist() == list(range(90))
    # the phase is not known in the first and last half period, 10 frames and what rounds them up
    unknown = series.net_charge.isna()
    assert unknown[:10].all()
    assert unknown[80:].all()
    assert not unknown[11:79].any()
    assert series.time_s.tolist() == [15.0 * t for t in range(90)]
    speeds = pd.read_csv(tmp_path / "seen" / "dispersion.csv")
    assert speeds.n.sum() > 20 * 30  # pixels, each with a wave after another at least
    np.testing.assert_allclose(speeds.period_s, 300, rtol=0.02)
    np.testing.assert_allclose(speeds["speed_um/s"], 2 * 50 / 15, rtol=0.02)
    assert (tmp_path / "seen" / "observables_0.png").stat().st_size > 20_000
    said = capsys.readouterr().out
    assert "a dish, channel 0: 90 frames" in said
    assert "note:" not in said


def test_a_movie_without_units_is_measured_in_frames_and_pixels_and_says_so(
    main, bare, tmp_path, capsys
):
    assert main([str(bare(waves())), "smooth_px=0"]) == 0
    table = rows_of(tmp_path / "measured" / "a dish")
    assert table.value["period"] == pytest.approx(20, rel=5e-3)
    assert table.unit["period"] == "frame"
    assert table.unit["wave_speed"] == "px/frame"
    said = capsys.readouterr().out
    assert "times are in frames: give frame_interval_s=SECONDS" in said
    assert "lengths are in pixels: give pixel_um=MICROMETRES" in said


@pytest.mark.slow
def test_squares_of_pixels_leave_lengths_as_they_are(main, bare, tmp_path):
    words = [str(bare(waves(y=40, x=80))), "pixel_um=50", "smooth_px=0"]
    assert main([*words, "out=fine"]) == 0
    assert main([*words, "out=coarse", "bin=2"]) == 0
    fine, coarse = (rows_of(tmp_path / name).value for name in ("fine", "coarse"))
    for name in ("period", "wave_speed"):
        assert coarse[name] == pytest.approx(fine[name], rel=0.02)


def test_every_channel_and_movie_is_measured(main, bare, tmp_path):
    pixels = np.stack([waves(40), waves(40)[::-1], 0 * waves(40) + 7], axis=1)
    movies = str(bare(np.stack([pixels, pixels])))
    assert main([movies, "axes=movie,time,channel,y,x", "out=seen"]) == 0
    folders = sorted(p.name for p in (tmp_path / "seen").iterdir())
    assert folders == ["a dish[0]", "a dish[1]"]
    table = pd.read_csv(tmp_path / "seen" / folders[1] / "observables.csv")
    assert table.channel.unique().tolist() == [0, 1, 2]
    flat = rows_of(tmp_path / "seen" / folders[1], channel=2)
    assert np.isnan(flat.value["period"])
    assert "as noise does" in flat.note["period"]
    assert np.isnan(flat.value["length"])
    assert np.isnan(flat.value["n_mounds"])
    speeds = pd.read_csv(tmp_path / "seen" / folders[1] / "dispersion.csv")
    assert set(speeds.channel) <= {0, 1}  # nothing of the flat one


def test_dark_waves_are_the_same_waves(main, bare, tmp_path):
    store = str(bare(2000 - waves()))
    assert main([store, "waves=dark", "out=dark", "smooth_px=0"]) == 0
    assert rows_of(tmp_path / "dark").value["wave_speed"] == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize("written", [True, False])
def test_blank_frames_are_left_out_and_said(main, bare, tmp_path, capsys, written):
    pixels = waves()
    pixels[15] = 0
    store = str(bare(pixels, config={"write_empty_chunks": written}))
    assert main([store, "out=seen", "smooth_px=0"]) == 0
    assert "frames 16 to 89 of 90: the longest run without the 1 blank" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "seen" / "series.csv").frame.tolist() == list(range(16, 90))
    assert rows_of(tmp_path / "seen").value["period"] == pytest.approx(20, rel=0.02)
    with pytest.raises(SlimeError, match="all 90 frames are blank"):
        main([str(bare(0 * pixels, "black.zarr"))])


def test_masked_pixels_do_not_count(main, bare, tmp_path):
    pixels = waves()
    pixels[:, :6] = np.random.default_rng(0).integers(0, 60000, pixels[:, :6].shape)
    mask = np.ones(pixels.shape[1:], bool)
    mask[:6] = False
    np.save(tmp_path / "mask.npy", mask)
    assert main([str(bare(pixels)), "mask=mask.npy", "out=seen"]) == 0
    table = rows_of(tmp_path / "seen")
    assert table.value["active_share"] == 1
    assert table.n["active_share"] == 14 * 30
    assert table.high["period"] == pytest.approx(20, rel=0.02)


def test_a_few_frames_are_measured_as_far_as_they_go(main, bare, tmp_path):
    assert main([str(bare(waves(3))), "out=seen"]) == 0
    table = rows_of(tmp_path / "seen")
    assert table.note["period"] == "3 frames, 12 are needed"
    assert table.value["length"] > 0


def test_mounds_are_listed_with_their_places(main, bare, tmp_path):
    rows, columns = np.mgrid[:40, :60]
    light = 1000 * np.exp(-((rows - 12) ** 2 + (columns - 44) ** 2) / 18) + 100
    pixels = np.broadcast_to(light, (4, 40, 60)).astype("uint16")
    assert main([str(bare(pixels)), "out=seen", "pixel_um=2", "threshold=300"]) == 0
    mounds = pd.read_csv(tmp_path / "seen" / "mounds.csv")
    np.testing.assert_allclose(mounds[["y_um", "x_um"]], [[24, 88]], atol=1e-3)
    assert "threshold 300 (given)" in rows_of(tmp_path / "seen").note["n_mounds"]


def test_mistakes_leave_with_2_in_one_line(main, bare, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["measure_movie.py", "nowhere.zarr"])
    with pytest.raises(SystemExit) as left:
        run_command(main)
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    store = str(bare(waves(4)))
    for words, said in [
        ([], "name one store, not 0"),
        ([store, store], "name one store, not 2"),
        ([store, "--fast"], "unknown option --fast"),
        ([store, "smoth_px=2"], "did you mean smooth_px"),
        ([store, "smooth_px=-1"], "smooth_px=-1.0 must be 0 or above"),
        ([store, "bin=0"], "bin=0 must be 1 or above"),
        ([store, "bin=21"], "bin=21: a dish has frames of 20 x 30 pixels"),
        ([store, "longest_s=0"], "longest_s=0.0 must be above 0"),
        ([store, "waves=red"], "waves=red is none of bright, dark"),
        ([store, "memory_gib=0.01"], r"memory_gib is 0.01: raise it"),
    ]:
        with pytest.raises(SlimeError, match=said):
            main(words)


@pytest.mark.parametrize(("n", "counted"), [(0, "0 mounds in"), (1, "1 mound in")])
def test_mounds_are_counted_in_whole_numbers(in_memory, n, counted):
    y, x = np.ogrid[:40, :40]
    bump = 900 * np.exp(-((y - 20) ** 2 + (x - 20) ** 2) / 60)
    frames = np.full((6, 40, 40), 100.0) + np.arange(6)[:, None, None] + n * bump
    field = read_field(in_memory(frames.astype("uint16")), 0, bin_px=1, memory_budget=GIB)
    page = observables_page(measure(field), "dish")
    assert any(axes.get_title(loc="left").startswith(counted) for axes in page.axes)
    (mounds,) = [axes for axes in page.axes if axes.get_ylabel() == "mounds"]
    shown = [t for t in mounds.get_yticks() if 0 <= t <= mounds.get_ylim()[1]]
    assert shown == [0, 1]


def test_help_lists_the_settings(main, capsys):
    assert main(["--help"]) == 0
    assert "memory_gib=2.0" in capsys.readouterr().out


def test_a_movie_that_would_not_fit_is_refused_with_the_bin_that_would(in_memory):
    movie = in_memory(np.ones((100, 400, 600), "uint8"))
    whole = needed_nbytes((100, 400, 600))
    assert whole > needed_nbytes((100, 200, 300))
    with pytest.raises(SlimeError, match=r"takes 0.83 GiB, but memory_gib is 0.57: .*\(bin=2\)"):
        read_field(movie, 0, bin_px=1, memory_budget=int(0.57 * GIB))
    assert read_field(movie, 0, bin_px=2, memory_budget=int(0.57 * GIB)).frames.shape[1] == 200


def test_squares_are_means_of_the_pixels_that_count(in_memory):
    pixels = np.arange(2 * 4 * 5, dtype="uint8").reshape(2, 4, 5)
    mask = np.ones((4, 5), bool)
    mask[0, 0], mask[2:4, 2:4] = False, False
    movie = in_memory(pixels, mask=(("y", "x"), mask))
    found = read_field(movie, 0, bin_px=2, memory_budget=2 * GIB)
    # the first square is pixels 0 (masked), 1, 5, 6; the fifth column belongs to no square
    np.testing.assert_allclose(found.frames[0], [[4, 5], [13, np.nan]])
    assert found.units == (1.0, 2.0, "frame", "px")


def test_a_mean_over_frames_has_an_interval_where_there_are_blocks_enough():
    noise = np.random.default_rng(0).standard_normal(400)
    row = mean_row("x", noise + 5, "um")
    # sigma / sqrt(n) = 0.05, 1.96 of it to each side
    assert row.high - row.low == pytest.approx(4 * 0.05 * 0.98, rel=0.2)
    assert row.low < row.value < row.high
    slow = mean_row("x", np.cumsum(noise[:40]), "um")
    assert np.isnan(slow.low)
    assert "10 are needed" in slow.note
    assert mean_row("x", np.full(3, np.nan), "um").n == 0


def test_a_spread_is_of_the_finite_values():
    row = spread_row("x", np.array([np.nan, *range(101)]), "s", "pixels")
    assert (row.low, row.value, row.high, row.n) == (5, 50, 95, 101)
    empty = spread_row("x", np.array([np.nan]), "s", "pixels")
    assert (empty.n, empty.note) == (0, "no pixels")


def test_numbers_are_written_in_full_and_nan_is_empty():
    row = Row("x", 0.1 + 0.2, np.nan, np.nan, "um", 1, "a, b")
    assert csv_text(Row._fields, [row]).splitlines()[1] == 'x,0.30000000000000004,,,um,1,"a, b"'


def test_an_open_movie_is_measured_where_its_channels_have_names(in_memory):
    movie = xr.concat([in_memory(waves(20)), in_memory(waves(20))], dim="channel")
    named = movie.assign_coords(channel=["cells", "camp"])
    named.name = "dish"
    assert read_field(named, 1, bin_px=1, memory_budget=2 * GIB).channel == "camp"
