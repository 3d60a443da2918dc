"""Stores that are whole or absent, and go on after a kill as if nothing had happened."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import zarr

from slime.errors import SlimeError
from slime.simulate.movie_header import MovieHeader, first_difference
from slime.simulate.movie_writer import MovieWriter, is_finished, state_path

HEADER = MovieHeader(
    n_frames=7,
    height_px=4,
    width_px=5,
    channels=("cells", "camp"),
    frame_interval_s=15.0,
    pixel_um=50.0,
    experiment="dish",
    seed=3,
    parameters={"spec": {"k_e_per_min": 9.0}},
    frames_per_chunk=3,
)


def _frame(i: int) -> np.ndarray:
    """Every pixel of frame i is i in the first channel and 100 + i in the second."""
    return np.stack([np.full((4, 5), i), np.full((4, 5), 100 + i)]).astype(np.uint16)


def _append(writer: MovieWriter, start: int, stop: int) -> None:
    for i in range(start, stop):
        writer.append(_frame(i), lambda i=i: {"after": i, "field": torch.tensor([i])}, 1)


def _written(path: Path, header: MovieHeader = HEADER) -> Path:
    writer = MovieWriter(path, header)
    _append(writer, 0, header.n_frames)
    writer.finish()
    writer.close()
    return path


def test_xarray_opens_what_was_written(tmp_path):
    movie = xr.open_zarr(_written(tmp_path / "a b.zarr"))
    assert movie.movie.dims == ("time", "channel", "y", "x")
    assert movie.movie.dtype == np.uint16
    assert movie.movie.sel(channel="camp")[:, 3, 4].values.tolist() == [100 + i for i in range(7)]
    assert movie.time.values.tolist() == [0, 15, 30, 45, 60, 75, 90]
    assert movie.x.values.tolist() == [25, 75, 125, 175, 225]
    assert (movie.time.attrs["units"], movie.y.attrs["units"]) == ("s", "um")
    assert movie.attrs["frame_interval_s"] == 15
    assert movie.attrs["pixel_um"] == 50
    assert movie.attrs["n_saturated"] == 7
    assert movie.attrs["parameters"]["spec"] == {"k_e_per_min": 9.0}
    assert movie.attrs["complete"] is True


def test_every_chunk_is_stored_even_where_all_is_zero(tmp_path):
    writer = MovieWriter(tmp_path / "dark.zarr", HEADER)
    for _ in range(7):
        writer.append(np.zeros((2, 4, 5), np.uint16), dict)
    pixels = zarr.open_group(writer.finish(), mode="r")["movie"]
    writer.close()
    assert pixels.chunks == (3, 2, 4, 5)
    assert (pixels.nchunks, pixels.nchunks_initialized) == (3, 3)
    assert pixels.attrs["written_by"] == "slime"


def test_nothing_is_left_beside_a_finished_store(tmp_path):
    _written(tmp_path / "a.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize(("killed_after", "kept"), [(0, 0), (2, 0), (3, 3), (5, 3), (6, 6), (7, 7)])
def test_a_killed_writer_goes_on_after_its_last_whole_chunk(tmp_path, killed_after, kept):
    killed = MovieWriter(tmp_path / "a.zarr", HEADER)
    _append(killed, 0, killed_after)
    killed.close()
    assert not (tmp_path / "a.zarr").exists()
    again = MovieWriter(tmp_path / "a.zarr", HEADER)
    assert again.n_written == kept
    assert (again.state or {"after": -1})["after"] == kept - 1
    _append(again, kept, 7)
    again.finish()
    again.close()
    movie = xr.open_zarr(tmp_path / "a.zarr")
    assert movie.movie[:, 0, 0, 0].values.tolist() == list(range(7))
    assert movie.attrs["n_saturated"] == 7


def test_an_unfinished_store_of_other_settings_is_refused(tmp_path):
    MovieWriter(tmp_path / "a.zarr", HEADER).close()
    other = MovieHeader(**{**vars(HEADER), "parameters": {"spec": {"k_e_per_min": 11.0}}})
    with pytest.raises(SlimeError, match=r"was begun with k_e_per_min = 9.0, not 11.0"):
        MovieWriter(tmp_path / "a.zarr", other)


def test_a_finished_store_is_known_by_its_settings(tmp_path):
    path = tmp_path / "a.zarr"
    assert not is_finished(path, HEADER)
    _written(path)
    state_path(path).touch()  # as a kill just after the renaming leaves it
    assert is_finished(path, HEADER)
    assert not state_path(path).exists()
    with pytest.raises(SlimeError, match="made with seed = 3, not 4"):
        is_finished(path, MovieHeader(**{**vars(HEADER), "seed": 4}))


def test_nothing_that_exists_is_overwritten(tmp_path):
    _written(tmp_path / "a.zarr")
    with pytest.raises(SlimeError, match="exists already"):
        MovieWriter(tmp_path / "a.zarr", HEADER)
    (tmp_path / "folder").mkdir()
    with pytest.raises(SlimeError, match="is no movie of slime"):
        is_finished(tmp_path / "folder", HEADER)


def test_two_writers_of_one_store_are_refused(tmp_path):
    first = MovieWriter(tmp_path / "a.zarr", HEADER)
    with pytest.raises(SlimeError, match=r"a.zarr' is being written by another process"):
        MovieWriter(tmp_path / "a.zarr", HEADER)
    first.close()
    MovieWriter(tmp_path / "a.zarr", HEADER).close()


def test_a_store_that_lacks_frames_or_chunks_is_not_finished(tmp_path):
    writer = MovieWriter(tmp_path / "a.zarr", HEADER)
    _append(writer, 0, 6)
    with pytest.raises(RuntimeError, match="has 6 of 7 frames and lacks 1 chunks"):
        writer.finish()
    _append(writer, 6, 7)
    (tmp_path / "a.zarr.partial/movie/c/0/0/0/0").unlink()
    with pytest.raises(RuntimeError, match="has 7 of 7 frames and lacks 1 chunks"):
        writer.finish()
    writer.close()


def test_only_what_the_header_says_is_compared():
    attributes = HEADER.attributes()
    assert first_difference(attributes | {"complete": True}, HEADER) == ""
    del attributes["pixel_um"]
    assert first_difference(attributes, HEADER) == "pixel_um = nothing, not 50.0"
