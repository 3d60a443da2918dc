import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, GzipCodec
from zarr.storage import MemoryStore

from slime.engine import read_into, with_engine
from slime.errors import SlimeError
from slime.movie import open_movie, stored_frames

LAYOUTS = [((3, 1, 16, 16), None), ((1, 2, 32, 32), None), ((2, 1, 32, 32), (4, 2, 32, 32))]


def numbers(shape, dtype):
    return (np.random.default_rng(0).random(shape) * 200).astype(dtype)


def stored(path, pixels, chunks, shards=None, **choices):
    made = zarr.create_array(
        path, shape=pixels.shape, chunks=chunks, shards=shards, dtype=pixels.dtype, **choices
    )
    made[:6] = pixels[:6]  # the seventh frame is never written
    return zarr.open_array(path, mode="r")


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4", "f8", "bool"])
@pytest.mark.parametrize(("chunks", "shards"), LAYOUTS, ids=str)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_both_decoders_give_equal_pixels(tmp_path, monkeypatch, dtype, chunks, shards, zarr_format):
    if shards and zarr_format == 2:
        pytest.skip("zarr 2 has no shards")
    pixels = numbers((7, 2, 32, 32), dtype)
    array = stored(tmp_path / "a.zarr", pixels, chunks, shards, zarr_format=zarr_format)
    pixels[6] = 0
    monkeypatch.setenv("SLIME_ENGINE", "auto")
    fast, engine = with_engine(array)
    assert engine == "zarrs"
    for key in (
        np.s_[2:7, 0:2, 0:32, 0:32],
        np.s_[1:6:2, 1:2, 3:9, 5:32],
        np.s_[0:1, 0:1, 0:1, 0:1],
    ):
        for one in (fast, array):
            out = np.full(pixels[key].shape, 7, pixels.dtype)
            read_into(one, key, out)
            np.testing.assert_array_equal(out, pixels[key])
    np.testing.assert_array_equal(fast.oindex[[5, 0], [1], :, 3:4], pixels[[5, 0]][:, [1], :, 3:4])


@pytest.mark.parametrize("codec", [BloscCodec(cname="lz4"), GzipCodec()], ids=["blosc", "gzip"])
def test_both_decoders_know_the_usual_codecs(tmp_path, codec):
    pixels = numbers((7, 4, 5), "u2")
    fast, engine = with_engine(stored(tmp_path / "a.zarr", pixels, (3, 4, 5), compressors=[codec]))
    assert engine == "zarrs"
    np.testing.assert_array_equal(fast[:6], pixels[:6])


def test_frames_are_read_into_their_place_alone(tmp_path):
    pixels = numbers((7, 4, 5), "u2")
    array, _ = with_engine(stored(tmp_path / "a.zarr", pixels, (3, 4, 5)))
    block = np.full((5, 4, 5), 9999, "u2")
    read_into(array, np.s_[1:4, 0:4, 0:5], block[1:4])
    np.testing.assert_array_equal(block[1:4], pixels[1:4])
    assert (block[[0, 4]] == 9999).all()


def test_what_zarrs_does_not_serve_is_left_to_zarr(tmp_path):
    swapped = stored(tmp_path / "a.zarr", numbers((7, 4, 5), ">u2"), (3, 4, 5), zarr_format=2)
    in_memory = stored(MemoryStore(), numbers((7, 4, 5), "u2"), (3, 4, 5))
    for array in (swapped, in_memory):
        same, engine = with_engine(array)
        assert (same, engine) == (array, "zarr")


def test_the_choice_is_one_arrays_not_the_process_s(tmp_path):
    before = zarr.config.get("codec_pipeline.path")
    array = stored(tmp_path / "a.zarr", numbers((7, 4, 5), "u2"), (3, 4, 5))
    with_engine(array)
    assert zarr.config.get("codec_pipeline.path") == before
    assert "zarrs" not in type(array.async_array.codec_pipeline).__module__


def test_the_user_may_choose_and_a_wrong_choice_is_said(tmp_path, monkeypatch):
    pixels = numbers((7, 4, 5), "u2")
    stored(tmp_path / "a.zarr", pixels, (3, 4, 5))
    for choice in ("zarr", "zarrs"):
        monkeypatch.setenv("SLIME_ENGINE", choice)
        movie = open_movie(tmp_path / "a.zarr", axes="TYX")
        assert stored_frames(movie).engine == choice
        np.testing.assert_array_equal(movie[:6, 0], pixels[:6])
    monkeypatch.setenv("SLIME_ENGINE", "rust")
    with pytest.raises(SlimeError, match="SLIME_ENGINE='rust' must be auto, zarr or zarrs"):
        open_movie(tmp_path / "a.zarr", axes="TYX")
