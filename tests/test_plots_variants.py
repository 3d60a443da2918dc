import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from slime.errors import SlimeError
from slime.plots.shown import shown
from slime.plots.style import BLUE, VERMILION
from slime.plots.variants import curves_by_epoch, seeds_and_intervals, windows_on_frames
from slime.split import Split
from slime.windows import WindowSpec


def axes_of():
    return Figure(figsize=(6, 3)).subplots()


def records(*losses):
    return pd.DataFrame({"epoch": range(1, len(losses) + 1), "val_loss": losses})


def test_each_training_is_a_line_whose_best_epoch_is_filled():
    axes = curves_by_epoch(
        axes_of(), {"a": records(3.0, 1.0, 2.0), "b": records(5.0, 4.0)}, "val_loss", label="loss"
    )
    lines = axes.get_lines()
    assert [line.get_ydata().tolist() for line in lines] == [[3, 1, 2], [1], [5, 4], [4]]
    assert [line.get_xdata().tolist() for line in lines[1::2]] == [[2], [2]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines[::2]}
    assert len(looks) == 2


def test_curves_of_nothing_or_of_an_unknown_column_are_refused():
    with pytest.raises(SlimeError, match="at least one"):
        curves_by_epoch(axes_of(), {}, "val_loss", label="loss")
    with pytest.raises(SlimeError, match=r"'a' has no column 'skill' \(it has epoch"):
        curves_by_epoch(axes_of(), {"a": records(1.0)}, "skill", label="skill")


def test_windows_lie_on_the_frames_that_they_hold():
    cuts = {"train": Split("train", 0, 9), "val": Split("val", 12, 18)}
    axes = windows_on_frames(axes_of(), cuts, WindowSpec(n_in=2, n_out=1, step=2), n_shown=2)
    bars = [bar for bar in axes.patches if bar.get_height() == pytest.approx(0.8)]
    frames = [round(bar.get_x() + bar.get_width() / 2) for bar in bars]
    assert frames == [0, 2, 4, 1, 3, 5, 12, 14, 16, 13, 15, 17]
    rows = [round(bar.get_y() + 0.4) for bar in bars]
    assert rows == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    colours = [to_rgb(bar.get_facecolor()) for bar in bars]
    assert colours == [to_rgb(BLUE), to_rgb(BLUE), to_rgb(VERMILION)] * 4


def test_a_figure_is_shown_in_few_colours_at_the_width_asked_for():
    figure = Figure(figsize=(6, 3))
    figure.subplots().imshow(np.random.default_rng(0).normal(size=(40, 40)))
    picture = shown(figure, width_px=480, n_colours=32)
    image = Image.open(io.BytesIO(picture._repr_png_()))
    assert image.size == (480, 240) == (picture.width_px, picture.height_px)
    assert len(image.getcolors(1000)) <= 32
    plain = io.BytesIO()
    figure.savefig(plain, format="png", dpi=80)
    assert len(picture.png) < len(plain.getvalue()) / 2
    assert "png" not in repr(picture)
    for wrong, said in (({"width_px": 0}, "width_px=0"), ({"n_colours": 1}, "from 2 to 256")):
        with pytest.raises(SlimeError, match=said):
            shown(figure, **wrong)


def test_every_seed_is_a_dot_beside_the_interval_of_all():
    seeds = pd.DataFrame({"model": ["cnn", "mlp", "cnn"], "value": [0.5, 0.1, 0.7]})
    together = pd.DataFrame(
        [("cnn", 0.6, 0.4, 0.8), ("mlp", 0.1, np.nan, np.nan)],
        columns=["model", "value", "low", "high"],
    )
    axes = seeds_and_intervals(axes_of(), seeds, together, label="skill")
    drawn = [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in axes.get_lines()]
    assert drawn == [
        ([0.4, 0.8], [0, 0]),
        ([0.6], [0]),
        ([0.5, 0.7], [-0.25, -0.25]),
        ([0.1], [1]),
        ([0.1], [0.75]),
    ]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["cnn", "mlp"]
    with pytest.raises(SlimeError, match="no mean over seeds of mlp"):
        seeds_and_intervals(axes_of(), seeds, together[:1], label="skill")
