from dataclasses import replace

import numpy as np
import pytest
import torch
from bokeh.document import Document
from bokeh.models import ColorBar, ScaleBar
from viewed import saved_folder, trained

from slime.errors import SlimeError
from slime.example import Example
from slime.view import films as films_module
from slime.view.films import Forecasts, films_of_store
from slime.view.looks import look_at_frame, look_at_lead, rmse_by_lead, shown_binned
from slime.view.page import Page
from slime.view.serve import free_port, start_server
from slime.view.spec import ViewSpec, parse_words
from slime.view.subject import Movies, Run


@pytest.fixture
def store(bare, numbered):
    """20 frames, a chunk each."""
    return bare(numbered(20))


def pixels(look, name):
    return float(look.pictures[name][0, 0])


def test_only_the_frame_that_is_looked_at_is_read(store, reads):
    subject = Movies(str(store), films_of_store(str(store), ViewSpec()), ViewSpec())
    assert reads == []
    look, said = subject.look(0, 7, 1, 0)
    assert pixels(look, "frame") == 8
    assert said == "frame 7 of 0 to 19"
    assert [name.split("/c/")[1][0] for name in reads] == ["7"]


def test_of_a_forecast_only_its_window_is_read(store, reads):
    forecasts = Forecasts(trained(store), leads=3)
    example = forecasts.example(0, 5)
    read = {name.split("/c/")[1].split("/")[0] for name in reads}
    assert read == {"4", "5", "6", "7", "8"}
    before = len(reads)
    assert forecasts.example(0, 5) is example
    assert len(reads) == before


def test_truth_and_forecast_stand_at_the_same_leads(store):
    example = Forecasts(trained(store, step=2), leads=3).example(0, 5)
    assert example.last_frame[0, 0, 0] == 6
    assert example.truth[:, 0, 0, 0].tolist() == [8, 10, 12]
    assert example.forecast[:, 0, 0, 0].tolist() == [8, 10, 12]


def test_test_frames_stay_closed(store, reads):
    forecasts = Forecasts(trained(store), leads=8)
    assert forecasts.starts(forecasts.trained.films[0]) == (1, 14)
    assert forecasts.example(0, 13).n_leads == 2
    with pytest.raises(SlimeError, match="at=15: the last frame given to the net is one of 1 to 1"):
        forecasts.example(0, 15)
    assert max(int(name.split("/c/")[1].split("/")[0]) for name in reads) == 15


def test_what_is_told_of_a_lead_is_hand_arithmetic(store):
    """Of true steps of 1 and forecast steps of 2, persistence is as far off as the forecast."""
    example = Forecasts(trained(store), leads=3).example(0, 5)
    errors = rmse_by_lead(example, 0)
    assert errors["forecast"].tolist() == [1, 2, 3]
    assert errors["persistence"].tolist() == [1, 2, 3]
    look = look_at_lead(example, 2, 0)
    assert pixels(look, "truth") == 8
    assert pixels(look, "forecast") == 10
    assert pixels(look, "error: forecast − truth") == 2
    assert pixels(look, "error of persistence") == -2
    told = {row.name: row.values for row in look.numbers}
    assert told["RMSE"] == ["", "2"]
    assert told["skill of this frame"] == ["", "+0.000"]
    assert told["mean"] == ["8", "10"]


def test_masked_pixels_count_in_no_error():
    truth = np.array([[[[1.0, np.nan], [3.0, 4.0]]]], np.float32)
    example = Example(truth, np.zeros_like(truth), np.ones((1, 2, 2), np.float32), ["0"])
    errors = rmse_by_lead(example, 0)
    assert errors["forecast"].tolist() == pytest.approx([np.sqrt(26 / 3)])
    assert errors["persistence"].tolist() == pytest.approx([np.sqrt((0 + 4 + 9) / 3)])


def test_a_frame_is_measured_in_its_own_units():
    x = np.arange(64)
    waves = np.broadcast_to(np.sin(2 * np.pi * x / 16), (64, 64)).astype(np.float32)
    rows = {row.name: row.values for row in look_at_frame(waves, pixel_um=2.0).numbers}
    assert float(rows["length of structure, µm"][0]) == pytest.approx(32, rel=0.03)
    rows = {row.name: row.values for row in look_at_frame(waves, pixel_um=None).numbers}
    assert float(rows["length of structure, px"][0]) == pytest.approx(16, rel=0.03)


def test_a_large_picture_is_sent_as_means():
    picture = np.arange(2050 * 4, dtype=np.float32).reshape(2050, 4)
    shown, width = shown_binned(picture)
    assert (shown.shape, width) == ((683, 1), 3)
    assert shown[0, 0] == pytest.approx(picture[:3, :3].mean())
    small, one = shown_binned(picture[:10])
    assert small.shape == (10, 4)
    assert one == 1


def test_a_large_frame_is_measured_on_means_in_its_own_units():
    x = np.arange(1280)
    waves = np.broadcast_to(np.sin(2 * np.pi * (x + 0.5) / 64), (1280, 1280)).astype(np.float32)
    look = look_at_frame(waves, pixel_um=0.5)
    assert look.width == 3
    told = {row.name: row.values for row in look.numbers}
    assert float(told["length of structure, µm"][0]) == pytest.approx(32, rel=0.03)
    assert look_at_frame(waves[:512, :512], pixel_um=0.5).width == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name one store or one run's folder, not 0"),
        (["a", "b"], "not 2"),
        (["a", "port=99999"], "port=99999 must be 0"),
        (["a", "leads=0"], "leads=0 must be at least 1"),
        (["a", "frames=3"], "frames=3 must be START:STOP"),
        (["a", "frames=5:5"], "frames=5:5 must hold a frame"),
        (["a", "led=3"], "there is no setting led; did you mean leads"),
    ],
)
def test_words_that_cannot_be_meant_are_refused(words, told):
    with pytest.raises(SlimeError, match=told):
        parse_words(words)


def page(subject):
    made = Page(subject)
    return made, lambda name: float(made.pictures[name].source.data["image"][0][0, 0])


def test_the_controls_move_the_pictures(store):
    made, shown = page(Run(trained(store), ViewSpec(at=5, leads=3)))
    assert (shown("truth"), shown("forecast")) == (7, 8)
    made.lead.value = 3
    assert (shown("truth"), shown("forecast")) == (9, 12)
    assert made.errors.sources["forecast"].data["y"].tolist() == [1, 2, 3]
    made.frame.value = 14
    assert (made.lead.value, shown("truth"), shown("forecast")) == (1, 16, 17)
    assert "frame 15 of 0 to 19 (val); test stays closed" in made.told.text


def test_moves_that_come_at_once_are_drawn_once(store, monkeypatch):
    made, shown = page(Run(trained(store), ViewSpec(at=5, leads=3)))
    document = Document()
    document.add_root(made.root)
    drawn = []
    monkeypatch.setattr(made.subject, "look", _noted(made.subject.look, drawn))
    for at in (6, 7, 8):
        made.frame.value = at
    assert drawn == []
    (waiting,) = document.session_callbacks
    waiting.callback()
    assert drawn == [(0, 8, 1, 0)]
    assert shown("truth") == 10


def _noted(look, drawn):
    def noted(*asked):
        drawn.append(asked)
        return look(*asked)

    return noted


def test_pictures_share_tools_a_bar_of_length_and_bars_of_their_colours(store):
    run = trained(store)
    film = run.films[0]
    film = replace(film, movie=film.movie.assign_attrs(pixel_um=2.0))
    made, _ = page(Run(replace(run, films=[film]), ViewSpec(at=5, leads=3)))
    plots = {title: one.plot for title, one in made.pictures.items()}
    bars = {title: [type(r) for r in plot.right] for title, plot in plots.items()}
    with_colours = [title for title, right in bars.items() if ColorBar in right]
    assert with_colours == ["forecast", "error of persistence"]
    assert [t for t, plot in plots.items() if plot.toolbar_location] == ["truth"]
    assert all(plot.x_range is plots["truth"].x_range for plot in plots.values())
    scale = [r for r in plots["truth"].center if isinstance(r, ScaleBar)]
    assert [(bar.unit, bar.range) for bar in scale] == [("µm", plots["truth"].x_range)]
    assert made.spectra.plot.xaxis.axis_label == "cycles a µm"
    made.lead.value = 3
    assert (made.errors.mark.visible, made.errors.mark.location) == (True, 3)


def test_pixels_that_do_not_count_are_told(store):
    movies = films_of_store(str(store), ViewSpec())
    movie = movies[0].movie
    masked = movie.assign_coords(mask=(movie.dims, movie.values != 5))
    made, _ = page(Movies(str(store), [replace(movies[0], movie=masked)], ViewSpec()))
    assert "ochre" not in made.told.text
    made.frame.value = 4
    assert "ochre pixels do not count" in made.told.text


def test_a_movie_is_scrubbed_and_played(store):
    movies = films_of_store(str(store), ViewSpec())
    made, shown = page(Movies(str(store), movies, ViewSpec(at=18)))
    assert shown("frame") == 19
    made._next()
    made._next()
    assert (made.frame.value, shown("frame")) == (0, 1)


def test_a_frame_that_cannot_be_read_is_told_and_not_shown(store):
    (store / "c" / "7" / "0" / "0").write_bytes(b"no chunk")
    made, _ = page(Movies(str(store), films_of_store(str(store), ViewSpec()), ViewSpec()))
    made.frame.value = 7
    assert "frames 7 to 7 cannot be read" in made.told.text
    assert not made.shown.visible
    made.frame.value = 8
    assert made.shown.visible


def test_a_port_that_is_taken_is_named(store):
    server = start_server(lambda: Movies(str(store), [], ViewSpec()), port=0)
    try:
        with pytest.raises(SlimeError, match=f"port={server.port} cannot be used"):
            free_port(server.port)
    finally:
        server.stop()


def test_a_run_opens_from_its_folder_without_its_test_frames(store, tmp_path, reads):
    run = saved_folder(tmp_path, store)
    opened = films_module.open_run(run, [], device=torch.device("cpu"))
    assert reads == []
    assert [(film.first, film.last) for film in opened.films] == [(0, 14)]
    subject = Run(opened, ViewSpec())
    assert subject.first_at(0) == 12
    look, _ = subject.look(0, 12, 1, 0)
    assert pixels(look, "truth") == 14
    with pytest.raises(
        SlimeError, match=r"axes=TYX: the movies of .* are opened as it was trained"
    ):
        films_module.open_run(run, ["axes=TYX"], device=torch.device("cpu"))


def test_what_was_measured_is_told_with_its_units(store, tmp_path):
    rows = [
        "model,movie,split,channel,lead,score,value,unit",
        *(
            f"{model},{store.stem},val,0,0,wave_speed,{v},um/s"
            for model, v in (("truth", 3), ("cnn", 4))
        ),
        f"truth,{store.stem},val,0,0,n_mounds,5,1",
        f"truth,{store.stem},test,0,0,wave_speed,9,um/s",
    ]
    (tmp_path / "observables.csv").write_text("\n".join(rows))
    head, *cells = Run(trained(store, run=tmp_path), ViewSpec()).measured(0, 0)
    assert head[1:] == ["wave speed, µm/s", "n mounds"]
    assert cells == [["truth", "3", "5"], ["cnn", "4", "none"]]


def test_a_run_that_was_stopped_says_how_to_go_on(store, tmp_path):
    run = saved_folder(tmp_path, store)
    (run / "run.json").unlink()
    with pytest.raises(SlimeError, match="resume=true out="):
        films_module.open_run(run, [], device=torch.device("cpu"))
