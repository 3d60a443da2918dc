import os
from pathlib import Path

import numpy as np
import pytest
import zarr

from slime.errors import MissingStoreError, StoreError
from slime.movie import open_movie
from slime.nodes import open_node
from slime.projection import project
from slime.store import StoredFrames


def chunk_file(store, *words):
    """A chunk's file in either layout."""
    for place in (Path(store, "c", *words), Path(store, ".".join(words))):
        if place.exists():
            return place
    raise AssertionError(f"no chunk {words}")


def opened(path, axes=("time", "y", "x"), **choices):
    return StoredFrames(zarr.open_array(path, mode="r"), axes, label="dish", **choices)


def test_a_missing_path_names_its_neighbour_and_creates_nothing(tmp_path, bare, numbered):
    bare(numbered(3), "dish one.zarr")
    with pytest.raises(MissingStoreError, match=r"no store at .*did you mean dish one\.zarr\?"):
        open_node(tmp_path / "dish on.zarr")
    assert os.listdir(tmp_path) == ["dish one.zarr"]


def test_a_folder_or_file_that_is_no_store_is_refused_in_one_line(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    for name in ("notes.txt", "empty"):
        with pytest.raises(StoreError, match="holds no zarr array or group") as caught:
            open_node(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert list((tmp_path / "empty").iterdir()) == []


def test_an_unfinished_store_is_refused(tmp_path, bare, numbered):
    with pytest.raises(StoreError, match="was not finished"):
        open_node(bare(numbered(3), "dish.zarr.partial"))


def test_stores_are_opened_read_only(bare, numbered):
    node = open_node(bare(numbered(3)))
    with pytest.raises(ValueError, match="read-only"):
        node[:] = 0


LAYOUTS = {
    "v3": {},
    "v2 dots": {"zarr_format": 2},
    "v2 slashes": {
        "zarr_format": 2,
        "chunk_key_encoding": {"name": "v2", "separator": "/"},
    },
    "v3 dots": {"chunk_key_encoding": {"name": "default", "separator": "."}},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_lost_frames_are_found_in_every_layout_of_chunk_files(bare, numbered, layout):
    path = bare(numbered(7), chunks=(2, 4, 5), **LAYOUTS[layout])
    frames = opened(path)
    assert not frames.blank.any()
    files = sorted(f for f in path.rglob("*") if f.is_file() and not f.name.startswith((".z", "z")))
    assert len(files) == 4
    files[1].unlink()
    assert np.flatnonzero(opened(path).blank).tolist() == [2, 3]


def test_a_lost_lone_tile_is_an_error_that_names_the_frames_and_fill_reads_on(bare, numbered):
    path = bare(numbered(6), chunks=(2, 4, 3))
    chunk_file(path, "1", "0", "1").unlink()
    movie = open_movie(path)
    assert not movie["blank"].values.any()
    assert movie[4:].values.min() == 5  # frames beside the tear are whole
    with pytest.raises(StoreError, match=r"2 frames lack a tile .*\(2 to 3\).*data\.missing=fill"):
        movie.load()
    filled = open_movie(path, missing="fill").values[2, 0]
    assert filled.tolist() == [[3, 3, 3, 0, 0]] * 4


def test_frames_that_lack_all_their_chunks_are_blank_and_read_as_fill(bare, numbered):
    pixels = numbered(6)
    pixels[2] = 0  # zarr writes no chunk of zeros
    movie = open_movie(bare(pixels))
    assert np.flatnonzero(movie["blank"].values).tolist() == [2]
    assert movie.values[:, 0, 0, 0].tolist() == [1, 2, 0, 4, 5, 6]


def test_one_channel_without_chunks_makes_a_frame_blank(bare, numbered):
    pixels = numbered(5, 2)
    pixels[3, 1] = 0
    path = bare(pixels, chunks=(1, 1, 4, 5))
    assert open_movie(path, axes="TCYX")["blank"].values.tolist() == [False] * 3 + [True, False]
    assert not open_movie(path, axes="TCYX", channels=0)["blank"].values.any()


def test_a_lost_chunk_in_a_store_of_ours_is_an_error(bare, numbered):
    pixels = numbered(5)
    pixels[2] = 0
    path = bare(pixels, attributes={"written_by": "slime"}, config={"write_empty_chunks": True})
    movie = open_movie(path)
    assert not movie["blank"].values.any()
    chunk_file(path, "3", "0", "0").unlink()
    with pytest.raises(StoreError, match=r"chunks of frames 3 are lost"):
        open_movie(path).load()
    with pytest.raises(StoreError, match=r"chunks of frames 3 are lost"):
        _ = open_movie(path)["blank"].values
    filled = open_movie(path, missing="fill")
    assert filled["blank"].values.tolist() == [False] * 3 + [True, False]


CODECS = {"zstd": {}, "none": {"compressors": None}, "v2": {"zarr_format": 2}}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("damage", ["emptied", "truncated", "extended"])
def test_a_damaged_chunk_is_an_error_with_chunk_frames_and_cure(bare, numbered, codec, damage):
    path = bare(numbered(9), chunks=(2, 4, 5), **CODECS[codec])
    file = chunk_file(path, "2", "0", "0")
    raw = file.read_bytes()
    file.write_bytes({"emptied": b"", "truncated": raw[:-3], "extended": raw + b"abc"}[damage])
    movie = open_movie(path)
    assert movie[:4].values.max() == 4
    line = r"chunk '(c/)?2[./]0[./]0', frames 4 to 5 cannot be read .*remove the file"
    with pytest.raises(StoreError, match=line):
        movie.load()


@pytest.mark.parametrize("damage", ["emptied", "truncated"])
def test_a_damaged_shard_is_an_error_also_where_zarr_reads_zeros(bare, numbered, damage):
    path = bare(numbered(8), chunks=(2, 4, 5), shards=(4, 4, 5))
    file = chunk_file(path, "1", "0", "0")
    file.write_bytes(b"" if damage == "emptied" else file.read_bytes()[:-3])
    movie = open_movie(path)
    assert movie[:4].values.max() == 4
    with pytest.raises(StoreError, match="4 to 7"):
        movie.load()
    if damage == "emptied":
        assert open_movie(path, missing="fill")["blank"].values.tolist() == [False] * 4 + [True] * 4


def test_sharded_frames_are_decoded_by_the_chunk_not_the_shard(bare, numbered):
    path = bare(numbered(8), chunks=(2, 4, 5), shards=(4, 4, 5))
    frames = opened(path)
    assert frames.chunk_frames == 2
    assert open_movie(path).values[:, 0, 0, 0].tolist() == list(range(1, 9))


def test_files_beside_the_chunks_do_not_count(bare, numbered):
    path = bare(numbered(4))
    (path / "c" / "notes").mkdir()
    (path / "c" / "1" / "0" / "0.tmp").write_text("half")
    (path / "c" / "01").mkdir()
    (path / "c" / "9" / "0").mkdir(parents=True)
    (path / "c" / "9" / "0" / "0").write_bytes(b"beyond the shape")
    frames = opened(path)
    assert frames.chunks.grid.present.all()
    assert frames.chunks.grid.n_outside == 1


@pytest.mark.parametrize("shape", [(2**50, 4, 5), (2**26, 4, 5), (10, 2**30, 4)])
def test_shapes_that_no_movie_has_are_refused_before_anything_is_allocated(tmp_path, shape):
    zarr.create_array(tmp_path / "huge.zarr", shape=shape, chunks=(1, 4, 5), dtype="u2")
    with pytest.raises(StoreError, match=r"claims shape .* the metadata are damaged"):
        open_movie(tmp_path / "huge.zarr", frame_interval_s=1.0)


# --- z ---


def z_stack(n=3, n_z=4):
    """Pixels (t, c=1, z, y, x): 10 t + z + 1, uneven in y and x by their place."""
    t, z, y, x = np.ogrid[:n, :n_z, :4, :5]
    return (100 * (10 * t + z + 1) + 10 * y + x).astype("uint16")[:, None]


@pytest.mark.parametrize("z", ["max", "mean", 0, 2])
@pytest.mark.parametrize("chunks", [(1, 1, 1, 4, 5), (2, 1, 4, 3, 2), (1, 1, 3, 4, 5)])
def test_z_is_projected_as_numpy_does(bare, z, chunks):
    pixels = z_stack()
    movie = open_movie(bare(pixels, chunks=chunks), z=z)
    expected = {"max": pixels.max(2), "mean": pixels.mean(2)}.get(z)
    expected = pixels[:, :, z] if expected is None else expected
    assert movie.dtype == (np.float32 if z == "mean" else np.uint16)
    np.testing.assert_array_equal(movie.values, expected.astype(movie.dtype))
    np.testing.assert_array_equal(movie[1:, :, 1, 2:4].values, expected[1:, :, 1, 2:4])


@pytest.mark.parametrize("z", ["max", "mean"])
@pytest.mark.parametrize("chunks", [(1, 1, 1, 4, 5), (1, 1, 4, 4, 5)])
def test_slices_never_written_are_left_out_of_the_projection(bare, z, chunks):
    pixels = z_stack().astype("int16") * -1  # so that a slice of zeros would be the largest
    pixels[1, :, 2] = 0
    pixels[2] = 0
    movie = open_movie(bare(pixels, chunks=chunks), z=z)
    there = np.delete(pixels[1], 2, axis=1)
    expected = there.max(1) if z == "max" else there.mean(1).astype("float32")
    np.testing.assert_array_equal(movie[1].values, expected)
    # also where only a part of the picture is asked for
    np.testing.assert_array_equal(movie[1, :, :1, 1:3].values, movie.values[1, :, :1, 1:3])
    assert (movie[2].values == 0).all()


def test_a_projection_runs_block_by_block_with_each_chunk_read_once(bare, monkeypatch, reads):
    # two frames of 4 slices, 160 bytes
    monkeypatch.setattr("slime.projection.PROJECTION_BYTES", 400)
    pixels = z_stack(9)
    path = bare(pixels, chunks=(2, 1, 4, 4, 5))
    movie = open_movie(path)
    np.testing.assert_array_equal(movie[1:8].values, pixels[1:8].max(2))
    assert len(reads) == len(set(reads)) == 4
    np.testing.assert_array_equal(movie[8:0:-3].values, pixels[8:0:-3].max(2))


def test_nan_in_a_written_slice_is_not_projected_away():
    slices = np.ones((1, 1, 3, 4, 5), "float32")
    slices[0, 0, 1, 2, 2] = np.nan
    slices[0, 0, 2] = np.nan  # never written, where nan is the fill value
    for how in ("max", "mean"):
        frame, there = project(slices, how, np.float32("nan"))
        assert np.isnan(frame).sum() == 1
        assert there.tolist() == [[[True, True, False]]]


def test_booleans_and_masks_project():
    slices = np.zeros((1, 1, 2, 1, 2), bool)
    slices[0, 0, 0] = [True, False]
    assert project(slices, "max", False)[0].tolist() == [[[[True, False]]]]
    slices[0, 0, 1] = [True, True]
    assert project(slices, "all", False)[0].tolist() == [[[[True, False]]]]
