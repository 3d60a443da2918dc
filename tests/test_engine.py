import re

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, GzipCodec
from zarr.storage import MemoryStore

from slime.engine import Decoder
from slime.errors import SlimeError, StoreError
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
def test_all_decoders_give_equal_pixels(tmp_path, monkeypatch, dtype, chunks, shards, zarr_format):
    if shards and zarr_format == 2:
        pytest.skip("zarr 2 has no shards")
    pixels = numbers((7, 2, 32, 32), dtype)
    array = stored(tmp_path / "a.zarr", pixels, chunks, shards, zarr_format=zarr_format)
    pixels[6] = 0
    decoders = []
    for name in ("direct", "zarrs", "zarr"):
        monkeypatch.setenv("SLIME_ENGINE", name)
        decoders.append(Decoder(array))
        assert decoders[-1].name == name
    for key in (
        np.s_[2:7, 0:2, 0:32, 0:32],
        np.s_[1:6:2, 1:2, 3:9, 5:32],
        np.s_[0:1, 0:1, 0:1, 0:1],
    ):
        for one in decoders:
            out = np.full(pixels[key].shape, 7, pixels.dtype)
            one.read_into(key, out)
            np.testing.assert_array_equal(out, pixels[key])
    for one in decoders:
        scattered = one.array.oindex[[5, 0], [1], :, 3:4]
        np.testing.assert_array_equal(scattered, pixels[[5, 0]][:, [1], :, 3:4])


@pytest.mark.parametrize("codec", [BloscCodec(cname="lz4"), GzipCodec()], ids=["blosc", "gzip"])
def test_zarrs_knows_the_usual_codecs(tmp_path, monkeypatch, codec):
    monkeypatch.setenv("SLIME_ENGINE", "zarrs")
    pixels = numbers((7, 4, 5), "u2")
    decoder = Decoder(stored(tmp_path / "a.zarr", pixels, (3, 4, 5), compressors=[codec]))
    assert decoder.name == "zarrs"
    np.testing.assert_array_equal(decoder.array[:6], pixels[:6])


def test_the_fastest_that_serves_is_taken(tmp_path):
    pixels = numbers((7, 4, 5), "u2")
    blosc = stored(tmp_path / "a.zarr", pixels, (3, 4, 5), compressors=[BloscCodec()])
    gzip = stored(tmp_path / "b.zarr", pixels, (3, 4, 5), compressors=[GzipCodec()])
    assert [Decoder(array).name for array in (blosc, gzip)] == ["direct", "zarrs"]


@pytest.mark.parametrize("engine", ["direct", "zarrs", "zarr"])
def test_frames_are_read_into_their_place_alone(tmp_path, monkeypatch, engine):
    pixels = numbers((7, 4, 5), "u2")
    monkeypatch.setenv("SLIME_ENGINE", engine)
    decoder = Decoder(stored(tmp_path / "a.zarr", pixels, (3, 4, 5)))
    block = np.full((5, 4, 5), 9999, "u2")
    decoder.read_into(np.s_[1:4, 0:4, 0:5], block[1:4])
    np.testing.assert_array_equal(block[1:4], pixels[1:4])
    assert (block[[0, 4]] == 9999).all()


@pytest.mark.parametrize("axes", ["TYX", "YXT", "XTY"])
def test_stores_in_fortran_order_read_however_their_axes_lie(tmp_path, axes):
    pixels = numbers((7, 5, 6), "u2")
    as_stored = np.moveaxis(pixels, [0, 1, 2], [axes.index(a) for a in "TYX"])
    made = zarr.create_array(
        tmp_path / "a.zarr",
        shape=as_stored.shape,
        chunks=(3, 2, 4),
        dtype="u2",
        zarr_format=2,
        order="F",
    )
    made[...] = as_stored
    movie = open_movie(tmp_path / "a.zarr", axes=axes)
    assert stored_frames(movie).decoder.name == "zarrs"
    np.testing.assert_array_equal(movie[:, 0], pixels)
    scattered = movie[[1, 2, 6], 0, 1:4, [0, 3, 5]]
    np.testing.assert_array_equal(scattered, pixels[[1, 2, 6], 1:4][..., [0, 3, 5]])
    damaged = sorted(tmp_path.glob("a.zarr/?.?.?"))[-1]
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(StoreError, match=re.escape(f"chunk {damaged.name!r}, frames")):
        open_movie(tmp_path / "a.zarr", axes=axes).values  # noqa: B018


def test_what_zarrs_does_not_serve_is_left_to_zarr(tmp_path):
    swapped = stored(tmp_path / "a.zarr", numbers((7, 4, 5), ">u2"), (3, 4, 5), zarr_format=2)
    in_memory = stored(MemoryStore(), numbers((7, 4, 5), "u2"), (3, 4, 5))
    for array in (swapped, in_memory):
        decoder = Decoder(array)
        assert (decoder.array, decoder.name) == (array, "zarr")


def test_the_choice_is_one_arrays_not_the_process_s(tmp_path):
    before = zarr.config.get("codec_pipeline.path")
    array = stored(tmp_path / "a.zarr", numbers((7, 4, 5), "u2"), (3, 4, 5))
    Decoder(array)
    assert zarr.config.get("codec_pipeline.path") == before
    assert "zarrs" not in type(array.async_array.codec_pipeline).__module__


def test_the_user_may_choose_and_a_wrong_choice_is_said(tmp_path, monkeypatch):
    pixels = numbers((7, 4, 5), "u2")
    stored(tmp_path / "a.zarr", pixels, (3, 4, 5))
    for choice in ("zarr", "zarrs", "direct"):
        monkeypatch.setenv("SLIME_ENGINE", choice)
        movie = open_movie(tmp_path / "a.zarr", axes="TYX")
        assert stored_frames(movie).decoder.name == choice
        np.testing.assert_array_equal(movie[:6, 0], pixels[:6])
    monkeypatch.setenv("SLIME_ENGINE", "rust")
    with pytest.raises(
        SlimeError, match="SLIME_ENGINE='rust' must be one of auto, direct, zarrs, zarr"
    ):
        open_movie(tmp_path / "a.zarr", axes="TYX")
