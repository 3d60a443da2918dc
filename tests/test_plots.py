import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

from slime.errors import SlimeError
from slime.plots import (
    Example,
    duration_text,
    error_norm,
    forecast_strip,
    landscape_contour,
    learning_curves,
    movie_frames,
    number_text,
    save_figure,
    skill_by_lead,
    split_bars,
)
from slime.plots.coverage import coverage_by_lead
from slime.plots.gif import rollout_gif
from slime.plots.landscape_lines import line_figure, plane_figure, relief_figure


def axes_of():
    return Figure(figsize=(7, 4), layout="constrained").subplots()


def texts(axes):
    return " | ".join(t.get_text() for t in axes.texts)


def written(axes):
    return {t.get_text() for t in axes.texts}


def movie_of(n_frames=9, **attrs):
    """Frame i holds i and, in one corner, i + 1."""
    frames = np.broadcast_to(np.arange(n_frames)[:, None, None, None], (n_frames, 2, 4, 5)).copy()
    frames[:, :, 0, 0] += 1
    return xr.DataArray(
        frames.astype("u2"),
        dims=("time", "channel", "y", "x"),
        coords={"channel": ["cells", "a <reporter>"]},
        name="dish",
        attrs={"frame_interval_s": None, "pixel_um": None} | attrs,
    )


def example(n_leads=4, *, scale=1.0, shape=(4, 5), **more):
    draw = np.random.default_rng(1)
    truth, forecast = (draw.normal(size=(n_leads, 2, *shape)) * scale for _ in range(2))
    return Example(truth, forecast, truth[0] * 0.5, ["cells", "camp"], **more)


def score_table():
    rows = []
    for seed in (0, 1):
        for model, skills in {
            "cnn": (0.4 + seed / 10, 0.3, 0.2),
            "persistence": (0.0, 0.0, 0.0),
            "drift": (-1.63, -0.2, -9.0),
        }.items():
            for lead, value in zip((4, 1, 2), skills, strict=True):  # not in order of lead
                row = {"model": model, "seed": seed, "movie": "all", "channel": "all"}
                row |= {"split": "test", "lead": lead, "score": "skill", "value": value}
                rows.append(row | {"low": value - 0.1, "high": value + 0.05})
    return pd.DataFrame(rows)


def test_movie_frames_reads_only_the_frames_it_shows():
    movie, read = movie_of(), []

    class Spy(xr.DataArray):
        __slots__ = ()

        def isel(self, *args, **kwargs):
            read.extend(kwargs["time"].tolist())
            return super().isel(*args, **kwargs)

    figure = movie_frames(Spy(movie), n=3)
    assert read == [0, 4, 8]
    shown = [a.images[0].get_array()[1, 1] for a in figure.axes if a.images]
    assert shown == [0, 4, 8, 0, 4, 8]


def test_movie_frames_of_a_channel_share_one_scale_and_blank_frames_do_not_set_it():
    movie = movie_of()
    movie[4] = 60_000
    pictures = [a for a in movie_frames(movie, n=3).axes if a.images]
    scales = {a.images[0].norm for a in pictures[:3]}
    assert len(scales) == 1
    assert scales.pop().vmax <= 9
    assert "all 60000" in texts(pictures[1])


@pytest.mark.parametrize(
    ("attrs", "time", "bar"),
    [
        ({"frame_interval_s": 60.0, "pixel_um": 10.0}, "frame 4\n4 min", "10 µm"),
        ({}, "frame 4", "1 px"),
        ({"pixel_um": 1500.0}, "frame 4", "2 mm"),
    ],
)
def test_movie_frames_tell_time_and_length_in_units_where_known(attrs, time, bar):
    pictures = [a for a in movie_frames(movie_of(**attrs), n=3).axes if a.images]
    assert pictures[1].get_title() == time
    assert bar in texts(pictures[0])


def test_scale_bar_is_as_long_as_it_says():
    axes = movie_frames(movie_of(pixel_um=10.0), n=2).axes[0]
    left, right = axes.lines[0].get_xdata()
    assert (right - left) * 5 * 10.0 == pytest.approx(10.0)  # 5 pixels of 10 um wide


def test_learning_curves_show_the_records_and_star_the_last_best_epoch():
    records = [
        {"epoch": i, "train_loss": 1 / i, "val_skill": v, "val_mse": 2.0 * i, "lr": 0.1, "best": b}
        for i, v, b in [(1, 0.1, True), (2, 0.3, True), (3, 0.2, False)]
    ]
    by_title = {a.get_title(loc="left").split(" (")[0]: a for a in learning_curves(records).axes}
    loss = by_title["train loss"].lines[0]
    assert loss.get_xdata().tolist() == [1, 2, 3]
    assert loss.get_ydata().tolist() == [1, 1 / 2, 1 / 3]
    title, skill = next((t, a) for t, a in by_title.items() if t.startswith("validation skill"))
    assert skill.lines[0].get_ydata().tolist() == [0.1, 0.3, 0.2]
    assert "+0.300 at epoch 2" in title
    star = next(line for line in skill.lines if line.get_marker() == "*")
    assert (list(star.get_xdata()), list(star.get_ydata())) == ([2], [0.3])


def test_learning_curves_count_epochs_that_diverged():
    losses = [0.5, float("nan"), float("inf"), None]
    records = [{"epoch": i, "train_loss": loss} for i, loss in enumerate(losses)]
    axes = learning_curves(records).axes[0]
    assert "2 of 4 epochs not finite" in axes.get_title(loc="left")
    assert np.isnan(axes.lines[0].get_ydata()).tolist() == [False, True, True, True]


def test_learning_curves_of_one_epoch_and_of_negative_loss_can_be_saved(tmp_path):
    for loss in (0.3, -1.0, 0.0):
        figure = learning_curves([{"epoch": 1, "train_loss": loss, "val_skill": None}])
        assert save_figure(figure, tmp_path / "new" / "curves.png").stat().st_size > 0


def test_learning_curves_need_an_epoch():
    with pytest.raises(SlimeError, match="at least one"):
        learning_curves([])


def test_strip_rows_are_last_truth_forecast_and_both_errors():
    shown = example(lead_s=60.0)
    axes = [a for a in forecast_strip(shown, [1, 3], channel=1).axes if a.images]
    pictures = [np.asarray(a.images[0].get_array()) for a in axes]
    assert len(pictures) == 10
    truth, last = shown.truth[2, 1], shown.last_frame[1]
    expected = [last, truth, shown.forecast[2, 1], shown.forecast[2, 1] - truth, last - truth]
    for picture, want in zip(pictures[1::2], expected, strict=True):
        np.testing.assert_array_equal(picture, want)
    assert [a.get_title() for a in axes[:2]] == ["lead 1 (60 s)", "lead 3 (3 min)"]


def test_strip_has_one_scale_for_pictures_and_one_symmetric_scale_for_errors():
    axes = [a for a in forecast_strip(example(), [1, 2]).axes if a.images]
    pictures = {a.images[0].norm for a in axes[:6]}
    errors = {a.images[0].norm for a in axes[6:]}
    assert len(pictures) == len(errors) == 1
    norm = errors.pop()
    assert norm.vmin == -norm.vmax
    assert norm.vmax > 0


@pytest.mark.parametrize("leads", [[], [0], [5]])
def test_strip_refuses_leads_that_it_has_not(leads):
    with pytest.raises(SlimeError, match="choose from 1 to 4"):
        forecast_strip(example(), leads)


def test_example_refuses_a_wrong_number_of_channel_names():
    zeros = np.zeros((2, 3, 4, 5))
    with pytest.raises(SlimeError, match="2 channel names for 3"):
        Example(zeros, zeros, zeros[0], ["a", "b"])


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_flat_and_missing_errors_still_have_a_scale(value):
    norm = error_norm(np.full((2, 3), value))
    assert (norm.vmin, norm.vmax) == (-1.0, 1.0)


def test_skill_lines_are_the_tables_values_in_order_of_lead():
    axes = skill_by_lead(axes_of(), score_table(), "test", net="cnn", lead_s=30.0)
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["cnn (2 seeds)"].get_xdata().tolist() == [1, 2, 4]
    assert lines["cnn (2 seeds)"].get_ydata().tolist() == [0.3, 0.2, 0.4]
    assert lines["_cnn"].get_ydata().tolist() == [0.3, 0.2, 0.5]
    assert lines["drift (2 seeds)"].get_ydata().tolist() == [-0.2, -9.0, -1.63]
    assert set(lines["persistence"].get_ydata()) == {0}
    assert len(axes.collections) == 2  # the net's interval for each seed, and no other model's


def test_the_noise_ceiling_is_a_line_and_the_known_one_before_the_estimated():
    place = {"seed": 0, "movie": "all", "split": "test", "channel": "all"}
    place |= {"score": "skill_ceiling", "low": np.nan, "high": np.nan}
    rows = [
        {"model": model, **place, "lead": lead, "value": value + lead / 10}
        for model, value in (("noise ceiling", 0.5), ("noise ceiling (known)", 0.6))
        for lead in (4, 1, 2)
    ]
    for drawn, others in ((rows[:3], []), (rows[3:], rows[:3])):
        table = pd.DataFrame([*score_table().to_dict("records"), *others, *drawn])
        axes = skill_by_lead(axes_of(), table, "test", net="cnn")
        lines = [line for line in axes.lines if line.get_label().startswith("noise ceiling")]
        assert [line.get_label() for line in lines] == [drawn[0]["model"]]
        assert lines[0].get_xdata().tolist() == [1, 2, 4]
        assert axes.get_ylim()[1] >= max(lines[0].get_ydata())


def test_skill_under_the_floor_is_written_out_under_the_axis():
    axes = skill_by_lead(axes_of(), score_table(), "test", net="cnn")
    assert {t.get_text(): t.get_position()[0] for t in axes.texts} == {"▼−9": 2, "▼−1.63": 4}
    assert all(axes.get_ylim()[0] < t.get_position()[1] < -0.5 for t in axes.texts)


def test_skill_far_down_between_ticks_is_written_out_too():
    table = score_table()
    table.loc[table["model"] == "drift", "lead"] = 3
    axes = skill_by_lead(axes_of(), table, "test", net="cnn")
    assert {t.get_text(): t.get_position()[0] for t in axes.texts} == {"▼−9": 3}


def test_skill_axis_in_time_is_the_lead_times_the_interval():
    figure = Figure(layout="constrained")
    axes = skill_by_lead(figure.subplots(), score_table(), "test", lead_s=600.0)
    figure.draw_without_rendering()
    above = axes.child_axes[0]
    assert above.get_xlabel() == "time ahead (min)"
    assert [t.get_text() for t in above.get_xticklabels()] == ["10", "20", "40"]


def test_skill_of_a_split_that_was_not_scored_is_refused():
    with pytest.raises(SlimeError, match="in split 'val'"):
        skill_by_lead(axes_of(), score_table(), "val")


def plane_of(loss, **attrs):
    sides = [np.linspace(-1, 1, n) for n in loss.shape]
    coords = dict(zip(("alpha", "beta"), sides, strict=True))
    return xr.DataArray(loss, dims=("alpha", "beta"), coords=coords, name="mse", attrs=attrs)


def test_landscape_levels_are_even_in_the_logarithm_and_lost_cells_are_counted():
    loss = np.geomspace(1e-3, 10, 35).reshape(5, 7)
    loss[0, 0], loss[1, 0] = np.nan, np.inf
    axes = landscape_contour(axes_of(), plane_of(loss, seed=3, n_windows=16, cosine=0.0123))
    steps = np.diff(np.log(axes.collections[0].levels))
    assert np.ptp(steps) < 1e-9
    title = axes.get_title(loc="left")
    assert title == (
        "directions of seed 3, 16 windows, cosine of the directions 0.012,\n"
        "2 of 35 cells not finite (hatched)"
    )


def test_landscape_of_given_directions_says_which_and_no_cosine_that_is_rounding():
    facts = {"n_windows": 16, "cosine": 2.1e-9}
    axes = landscape_contour(axes_of(), plane_of(np.ones((3, 3)), **facts))
    assert axes.get_title(loc="left") == "16 windows"
    told = plane_of(np.ones((3, 3)), directions="through three nets", **facts)
    title = landscape_contour(axes_of(), told).get_title(loc="left")
    assert title == "through three nets, 16 windows"


def test_nothing_of_a_landscape_is_cut_off_or_hidden():
    long_name = "frames until the correlation falls below 0.8, median, at most 32"
    loss = np.arange(25.0).reshape(5, 5) + 1
    figure = Figure(figsize=(5.4, 4.4), layout="constrained")
    axes = landscape_contour(
        figure.add_subplot(), plane_of(loss, long_name=long_name, units="frames", seed=0)
    )
    figure.draw_without_rendering()
    whole = figure.bbox
    label = figure.axes[1].yaxis.label.get_window_extent()
    assert label.y0 >= whole.y0
    assert label.y1 <= whole.y1
    legend = axes.get_legend().get_window_extent()
    assert legend.y1 <= axes.get_window_extent().y0
    assert legend.y0 >= whole.y0


def test_landscape_marks_the_lowest_cell_where_it_is_not_the_centre():
    loss = np.ones((5, 7))
    loss[4, 1] = 0.25  # alpha 1, beta -2/3
    axes = landscape_contour(axes_of(), plane_of(loss))
    places = {line.get_label(): (*line.get_xdata(), *line.get_ydata()) for line in axes.lines}
    assert places["trained net"] == (0, 0)
    assert places["lowest cell: 0.25 at (1, -0.67)"] == pytest.approx((1, -2 / 3))


@pytest.mark.parametrize("value", [np.nan, 0.0, 2.0])
def test_landscape_of_one_value_can_be_drawn(value, tmp_path):
    axes = landscape_contour(axes_of(), plane_of(np.full((3, 3), value)))
    save_figure(axes.figure, tmp_path / "plane.png")
    assert ("no finite loss" in texts(axes)) == np.isnan(value)


def test_landscape_refuses_other_axes():
    with pytest.raises(SlimeError, match="alpha and beta"):
        landscape_contour(axes_of(), plane_of(np.ones((3, 3))).rename(beta="gamma"))


def test_the_labels_of_a_relief_lie_on_the_figure():
    long_name = "step along an axis, in lengths of that direction"
    plane = plane_of(np.arange(25.0).reshape(5, 5) + 1, long_name="loss")
    for name in ("alpha", "beta"):
        plane[name].attrs["long_name"] = long_name
    figure = relief_figure(plane)
    figure.draw_without_rendering()
    for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis):
        place = axis.label.get_window_extent()
        assert figure.bbox.contains(place.x0, place.y0)
        assert figure.bbox.contains(place.x1, place.y1)


def between_two(**attrs):
    line = xr.DataArray(
        [4.0, 3.0, 5.0, 2.0, 2.5],
        dims="alpha",
        coords={"alpha": [-0.5, 0.0, 0.5, 1.0, 1.5]},
        attrs={"long_name": "loss", "units": "a.u.", "distance": 3.0, **attrs},
    )
    line["alpha"].attrs["long_name"] = "share of the way"
    return line


def test_a_barrier_is_drawn_above_the_line_between_two_named_nets():
    line = between_two(barrier=2.5, net_name=["a", "b"])
    axes = line_figure({"a-b": line}).axes[0]
    assert {"a", "b"} <= written(axes)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["straight line between two nets' losses", "a-b: barrier 2.5"]
    chord = axes.lines[0]
    assert float(np.interp(0.5, chord.get_xdata(), chord.get_ydata())) == pytest.approx(2.5)
    stars = next(one for one in axes.lines if one.get_marker() == "*")
    assert (list(stars.get_xdata()), list(stars.get_ydata())) == ([0, 1], [3.0, 2.0])


def test_several_barriers_are_each_told_beside_their_line():
    lines = {"one": between_two(barrier=2.5), "other": between_two(barrier=0.25)}
    legend = line_figure(lines).axes[0].get_legend()
    told = [text.get_text() for text in legend.get_texts()]
    assert told == [told[0], "one: barrier 2.5", "other: barrier 0.25"]


def test_a_horizon_between_two_nets_marks_both_without_a_barrier():
    axes = line_figure({"a-b": between_two()}).axes[0]
    assert [list(line.get_xdata()) for line in axes.lines if line.get_marker() == "*"] == [[0, 1]]
    assert len(axes.lines) == 2


def test_nets_and_snapshots_of_a_plane_are_named_beside_their_own_loss():
    nets = {"net_alpha": [0, 0.5, -0.9], "net_beta": [0, 0, 0.9], "net_loss": [1.0, 2.0, 3.0]}
    plane = plane_of(np.ones((5, 5)), net_name=["a", "b", "c"], **nets)
    assert {"a: 1", "b: 2", "c: 3"} <= written(plane_figure({"x": plane}).axes[0])
    way = {name.replace("net", "snapshot"): value for name, value in nets.items()}
    plane = plane_of(np.ones((5, 5)), snapshot_epoch=[2, 4, 6], explained=[0.9, 0.1], **way)
    assert {"epoch 2: 1", "epoch 6: 3"} <= written(plane_figure({"x": plane}).axes[0])


SPLITS = [
    {"movie": "a", "name": "train", "start": 0, "stop": 70},
    {"movie": "a", "name": "test", "start": 80, "stop": 100},
    {"movie": "twin", "name": "train", "start": 0, "stop": 7},
]


def bar_spans(axes):
    bars = [b for c in axes.containers for b in c.patches]
    return [(b.get_x(), b.get_x() + b.get_width()) for b in bars]


def test_split_bars_span_the_frames_of_each_split():
    axes = split_bars(axes_of(), SPLITS)
    assert bar_spans(axes) == [(0, 70), (80, 100), (0, 7)]
    assert "test\n80–99" in texts(axes)
    assert axes.get_xlabel() == "frame"


def test_split_bars_of_twins_share_a_time_axis():
    movies = [
        {"name": "a", "frames": 100, "frame_interval_s": 60.0},
        {"name": "twin", "frames": 10, "frame_interval_s": 600.0},
    ]
    axes = split_bars(axes_of(), SPLITS, movies)
    assert bar_spans(axes) == [(0, 70), (80, 100), (0, 70)]
    assert "time (min)" in axes.get_xlabel()


def test_gif_has_a_frame_a_lead_and_names_each(tmp_path):
    path = rollout_gif(tmp_path / "new" / "rollout.gif", example(5, lead_s=30.0), channel=1)
    with Image.open(path) as gif:
        assert gif.n_frames == 5
        assert gif.size[1] == 192 + 42  # 4 pixels high, grown 48 times, and two lines of text
    assert [p.name for p in path.parent.iterdir()] == ["rollout.gif"]


def test_gif_error_panel_is_white_where_the_forecast_is_right(tmp_path):
    held = example(3)
    right = Example(held.truth, held.truth.copy(), held.last_frame, held.channels)
    with Image.open(rollout_gif(tmp_path / "r.gif", right)) as gif:
        picture = np.asarray(gif.convert("RGB")).astype(int)
    n_y, n_x, _ = picture.shape
    middle = picture[n_y // 2, n_x - 40]  # in the last panel
    assert np.ptp(middle) <= 2
    assert middle.min() > 240


def test_gif_of_large_frames_shrinks_to_its_limit(tmp_path):
    noise = example(6, shape=(300, 400))
    path = rollout_gif(tmp_path / "r.gif", noise, max_bytes=200_000)
    assert path.stat().st_size <= 200_000
    with Image.open(path) as gif:
        assert gif.n_frames == 6


def test_gif_shows_pixels_without_a_number(tmp_path):
    held = example(2)
    held.truth[:, :, 0, 0] = np.nan
    with Image.open(rollout_gif(tmp_path / "r.gif", held)) as gif:
        assert tuple(np.asarray(gif.convert("RGB"))[25, 10]) == (153, 153, 153)


def test_gif_refuses_a_channel_that_is_not_there(tmp_path):
    with pytest.raises(SlimeError, match="channel 2 of 2"):
        rollout_gif(tmp_path / "r.gif", example(), channel=2)


def test_equal_figures_are_equal_files(tmp_path):
    one, two = (save_figure(forecast_strip(example(), [1]), tmp_path / f"{i}.png") for i in "ab")
    assert one.read_bytes() == two.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0 s"), (119.0, "119 s"), (480.0, "8 min"), (9000.0, "2.5 h")]
)
def test_durations_read_in_their_best_unit(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.14e-4, "3.14e-4"),
        (-3e-4, "−3e-4"),
        (0.0, "0"),
        (5120.4, "5120"),
        (2e7, "2e7"),
        (14669.0, "1.47e4"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_read_in_three_figures(value, text):
    assert number_text(value) == text


def coverage_rows(channels, low=0.7):
    common = {"model": "cnn", "seed": 0, "movie": "all", "split": "test", "score": "coverage_0.9"}
    return pd.DataFrame(
        [
            common
            | {"channel": channel, "lead": lead, "value": 0.9 - i / 10 - lead / 100}
            | {"low": low, "high": 0.95}
            for i, channel in enumerate(channels)
            for lead in (2, 1)
        ]
    )


def test_coverage_is_drawn_by_lead_beside_what_is_promised():
    axes = coverage_by_lead(axes_of(), coverage_rows(["camp", "all"]), "test", nominal=0.9)
    lines = {line.get_label(): line for line in axes.lines}
    assert set(lines) == {"promised, 90%", "all channels", "camp"}
    assert set(lines["promised, 90%"].get_ydata()) == {0.9}
    np.testing.assert_allclose(lines["all channels"].get_xydata(), [[1, 0.79], [2, 0.78]])
    np.testing.assert_allclose(lines["camp"].get_xydata(), [[1, 0.89], [2, 0.88]])
    (shade,) = axes.collections
    assert set(shade.get_paths()[0].vertices[:, 1]) == {0.7, 0.95}
    assert axes.get_ylim()[0] < 0.7
    with pytest.raises(SlimeError, match=r"no score coverage_0\.9 in split 'val'"):
        coverage_by_lead(axes_of(), coverage_rows(["all"]), "val", nominal=0.9)


def test_coverage_without_an_interval_has_no_shade():
    axes = coverage_by_lead(axes_of(), coverage_rows(["all"], np.nan), "test", nominal=0.9)
    assert not axes.collections
