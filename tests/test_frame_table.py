import numpy as np
import pytest

from slime.errors import SlimeError, StoreError
from slime.frame_table import frame_table
from slime.frames import pass_blocks
from slime.movie import open_movie


def test_each_frame_has_its_row_whatever_the_blocks(bare, monkeypatch):
    pixels = np.random.default_rng(0).integers(1, 99, (23, 2, 4, 5)).astype("uint8")
    pixels[4] = 0
    pixels[9, 1] = 0  # one channel
    pixels[12] = 7  # one value all over
    pixels[13] = pixels[11]
    movie = open_movie(bare(pixels, chunks=(3, 1, 4, 5)), axes="TCYX")
    for pass_bytes in (1, 1 << 24):
        monkeypatch.setattr("slime.frames.PASS_BYTES", pass_bytes)
        table = frame_table(movie)
        assert np.flatnonzero(table.flat).tolist() == [4, 9]
        assert np.flatnonzero(table.uniform).tolist() == [4, 12]
        np.testing.assert_allclose(table.mean, pixels.mean(axis=(1, 2, 3)))
        digests = table.digest.tolist()
        assert digests[13] == digests[11]
        assert len(set(digests)) == 22
        assert not table.n_nonfinite.any()


def test_progress_counts_the_blocks(bare, numbered, monkeypatch):
    monkeypatch.setattr("slime.frames.PASS_BYTES", 1)
    said = []

    def progress(steps, total, label):
        said.append((total, label))
        yield from steps

    frame_table(open_movie(bare(numbered(20))), progress=progress)
    assert said == [(20, "reading a dish")]  # 20 blocks of a frame


@pytest.mark.parametrize("dtype", [">u2", "float32", "int64"])
def test_equal_frames_of_another_type_have_equal_digests(in_memory, dtype):
    pixels = np.random.default_rng(0).integers(0, 99, (3, 4, 5)).astype("uint16")
    plain = frame_table(in_memory(pixels))
    assert plain.digest.tolist() == frame_table(in_memory(pixels.astype(dtype))).digest.tolist()


def test_frames_of_another_shape_have_another_digest(in_memory):
    pixels = np.random.default_rng(0).random((1, 4, 5), "float32")
    turned = frame_table(in_memory(pixels.reshape(1, 5, 4)))
    assert frame_table(in_memory(pixels)).digest[0] != turned.digest[0]


def test_masked_pixels_are_left_out_of_the_mean_and_of_what_is_not_finite(in_memory):
    pixels = np.arange(60.0).reshape(3, 4, 5)
    pixels[1, 0, 0] = pixels[2, 3, 4] = np.nan
    valid = np.ones((3, 4, 5), bool)
    valid[1, 0, 0] = valid[0, :2] = False
    table = frame_table(in_memory(pixels, mask=(("time", "y", "x"), valid)))
    assert table.n_nonfinite.tolist() == [0, 0, 1]
    np.testing.assert_allclose(table.mean, [14.5, 30, 49])  # 10..19; 21..39; 40..58
    assert not table.flat.any()


@pytest.mark.parametrize("fill", [0, 9, np.nan])
def test_frames_of_the_fill_value_are_flat_written_or_not(bare, fill):
    pixels = np.random.default_rng(0).random((6, 4, 5)).astype("float32")
    pixels[2] = fill
    pixels[4] = 0  # nothing, whatever the fill value
    for empty in (True, False):
        path = bare(pixels, f"{empty}.zarr", fill_value=fill, config={"write_empty_chunks": empty})
        assert (path / "c" / "2").exists() == empty
        assert np.flatnonzero(frame_table(open_movie(path)).flat).tolist() == [2, 4]


def test_a_frame_that_is_masked_and_not_finite_all_over_is_flat(in_memory):
    pixels = np.random.default_rng(0).random((4, 4, 5))
    pixels[1] = np.nan
    table = frame_table(in_memory(pixels, mask=(("time", "y", "x"), ~np.isnan(pixels))))
    assert table.flat.tolist() == [False, True, False, False]
    assert np.isnan(table.mean).tolist() == [False, True, False, False]
    assert frame_table(in_memory(pixels)).n_nonfinite.tolist() == [0, 20, 0, 0]


def test_blank_slices_are_counted_written_or_not(bare):
    pixels = np.random.default_rng(0).integers(1, 9, (5, 2, 3, 4, 5)).astype("uint8")
    pixels[1, 0, 2] = 0  # in one channel
    pixels[3, :, :2] = 0
    pixels[4] = 0
    for chunks in ((1, 1, 1, 4, 5), (2, 1, 3, 4, 5)):
        movie = open_movie(bare(pixels, f"{chunks[0]}.zarr", chunks=chunks))
        table = frame_table(movie)
        assert table.n_blank_slices[:4].tolist() == [0, 1, 0, 2]
        assert table.flat.tolist() == [False] * 4 + [True]
        assert not frame_table(open_movie(bare(pixels, f"z{chunks[0]}.zarr"), z=0)).flat[1]


def test_frames_without_a_chunk_are_not_read(bare, numbered, reads, monkeypatch):
    monkeypatch.setattr("slime.frames.PASS_BYTES", 1)
    pixels = numbered(40)
    pixels[8:24] = 0
    table = frame_table(open_movie(bare(pixels, chunks=(8, 4, 5))))
    assert np.flatnonzero(table.flat).tolist() == list(range(8, 24))
    assert sorted(reads) == [f"a dish.zarr/c/{i}/0/0" for i in (0, 3, 4)]


def test_a_changed_movie_is_read_as_it_is_now(bare, numbered):
    movie = open_movie(bare(numbered(6)))
    assert frame_table(movie[::-1]).mean.tolist() == [6, 5, 4, 3, 2, 1]
    assert frame_table(movie + 1).mean.tolist() == [2, 3, 4, 5, 6, 7]
    assert frame_table(movie.chunk(time=4)).mean.tolist() == [1, 2, 3, 4, 5, 6]


def test_blocks_of_a_pass_are_whole_chunks(bare, numbered, monkeypatch):
    movie = open_movie(bare(numbered(50), chunks=(6, 4, 5)))
    monkeypatch.setattr("slime.frames.PASS_BYTES", 500)  # two chunks of 6 frames of 40 bytes
    blocks, n_at_once = pass_blocks(movie, 5, 47, memory_budget=10**9)
    assert blocks == [(5, 12), (12, 24), (24, 36), (36, 47)]
    assert n_at_once == 8
    assert pass_blocks(movie, 5, 47, memory_budget=8000)[1] < 8


def test_a_chunk_larger_than_the_budget_is_refused_unread(bare, numbered, reads):
    movie = open_movie(bare(numbered(100), chunks=(100, 4, 5)))
    with pytest.raises(SlimeError, match=r"reading 100 frames, a chunk's, takes .* shorter chunks"):
        frame_table(movie, memory_budget=4000)
    assert reads == []


def test_lost_tiles_stop_the_pass(bare, numbered):
    path = bare(numbered(6), chunks=(2, 4, 3))
    (path / "c" / "1" / "0" / "1").unlink()
    with pytest.raises(StoreError, match="lack a tile"):
        frame_table(open_movie(path))
