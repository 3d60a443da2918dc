"""Chunks decoded straight into place: the pixels that zarr reads, or a refusal."""

import os
import pickle

import numcodecs
import numpy as np
import pytest
import zarr
from numcodecs import blosc
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    ShardingCodec,
    TransposeCodec,
    ZstdCodec,
)
from zarr.storage import LocalStore, MemoryStore

import slime.direct
from slime.direct import INDICES, direct_chunks, pieces_of, read_at

SHAPE = (7, 5, 6)
KEYS = (
    np.s_[0:7, 0:5, 0:6],
    np.s_[2:7, 1:5, 0:6],
    np.s_[1:7:2, 0:5:3, 5:6],
    np.s_[3:4, 2:2, 0:6],
    np.s_[0:3, 0:5, 0:6],
)
COMPRESSORS = {
    "none": None,
    "blosc zstd": BloscCodec(cname="zstd", shuffle="shuffle"),
    "blosc lz4 bits": BloscCodec(cname="lz4", shuffle="bitshuffle"),
    "blosc stored": BloscCodec(clevel=0),
    "zstd": ZstdCodec(),
    "zstd checked": ZstdCodec(checksum=True),
    "crc32c": Crc32cCodec(),
    "zstd crc32c": [ZstdCodec(), Crc32cCodec()],
    "blosc crc32c": [BloscCodec(), Crc32cCodec()],
}


def numbers(dtype="u2", shape=SHAPE):
    return (np.random.default_rng(0).random(shape) * 200).astype(dtype)


def stored(store, pixels, chunks=(3, 5, 6), **choices):
    """An array of which the last frame is never written."""
    fill, last = pixels.dtype.type(9), len(pixels) - 1
    made = zarr.create_array(
        store, shape=pixels.shape, chunks=chunks, dtype=pixels.dtype, fill_value=fill, **choices
    )
    made[:last], pixels[last] = pixels[:last], fill
    return zarr.open_array(store, mode="r")


def assert_reads(array, pixels):
    chunks = direct_chunks(array)
    assert chunks is not None
    for key in KEYS:
        out = np.full(pixels[key].shape, 77, pixels.dtype)
        chunks.read_into(key, out)
        np.testing.assert_array_equal(out, pixels[key])
        np.testing.assert_array_equal(array[key], pixels[key])
        wide = np.full((*out.shape, 2), 77, pixels.dtype)
        chunks.read_into(key, wide[..., 1])
        np.testing.assert_array_equal(wide[..., 1], pixels[key])
        assert (wide[..., 0] == pixels.dtype.type(77)).all()


@pytest.mark.parametrize("compressor", COMPRESSORS)
@pytest.mark.parametrize("chunks", [(3, 5, 6), (1, 2, 4), (7, 5, 6), (4, 3, 3)], ids=str)
@pytest.mark.parametrize("at_once", [1, 3])
def test_zarr_3_reads_as_zarr_reads_it(tmp_path, monkeypatch, compressor, chunks, at_once):
    monkeypatch.setattr(slime.direct, "AT_ONCE", at_once)
    pixels = numbers()
    assert_reads(
        stored(tmp_path / "a", pixels, chunks, compressors=COMPRESSORS[compressor]), pixels
    )


@pytest.mark.parametrize("compressor", ["none", "blosc zstd", "zstd crc32c"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("checked", [True, False])
def test_shards_read_as_zarr_reads_them(tmp_path, compressor, first, checked):
    pixels = numbers()
    chosen = COMPRESSORS[compressor] or []
    codec = ShardingCodec(
        chunk_shape=(1, 5, 3),
        codecs=[BytesCodec(), *(chosen if isinstance(chosen, list) else [chosen])],
        index_codecs=[BytesCodec(), *([Crc32cCodec()] if checked else [])],
        index_location="start" if first else "end",
    )
    array = zarr.create_array(
        tmp_path / "a", shape=SHAPE, dtype="u2", fill_value=9, chunks=(3, 5, 6), serializer=codec,
        compressors=None, filters=None
    )  # fmt: skip
    array[:5] = pixels[:5]  # half of the second shard, and no third one
    pixels[5:] = 9
    assert_reads(zarr.open_array(tmp_path / "a", mode="r"), pixels)


@pytest.mark.parametrize("compressor", [None, numcodecs.Blosc(cname="lz4"), numcodecs.Zstd()])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "f2", "f4", "f8", "bool"])
def test_zarr_2_reads_as_zarr_reads_it(tmp_path, compressor, dtype):
    pixels = numbers(dtype)
    array = stored(tmp_path / "a", pixels, (3, 4, 6), zarr_format=2, compressors=compressor)
    assert_reads(array, pixels)


def test_a_chunk_written_as_a_stream_reads_though_it_tells_no_length(tmp_path):
    pixels = numbers()
    array = stored(tmp_path / "a", pixels, compressors=ZstdCodec())
    raw = np.ascontiguousarray(pixels[:3]).tobytes()
    # a frame of one raw block whose header tells no content size (RFC 8878, 3.1.1)
    head = b"\x28\xb5\x2f\xfd\x00\x58" + ((len(raw) << 3) | 1).to_bytes(3, "little")
    (tmp_path / "a" / "c" / "0" / "0" / "0").write_bytes(head + raw)
    assert_reads(array, pixels)
    (tmp_path / "a" / "c" / "0" / "0" / "0").write_bytes(
        b"\x28\xb5\x2f\xfd\x00\x58" + ((90 << 3) | 1).to_bytes(3, "little") + raw[:90]
    )
    with pytest.raises(ValueError, match=r"c/0/0/0: holds 90 bytes, not 180"):
        direct_chunks(array).read_into(KEYS[0], np.empty(SHAPE, "u2"))


def test_a_chunk_longer_than_its_pixels_is_read_to_its_end(tmp_path):
    pixels = numbers()
    array = stored(tmp_path / "a", pixels, compressors=None)
    chunk = tmp_path / "a" / "c" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes() + bytes(4000))
    with pytest.raises(ValueError, match=r"c/0/0/0: holds 4180 bytes of pixels, not 180"):
        direct_chunks(array).read_into(KEYS[0], np.empty(SHAPE, "u2"))


def test_files_that_are_not_there_are_told(tmp_path):
    array = stored(tmp_path / "a", numbers(), (2, 5, 3))
    out = np.empty(SHAPE, "u2")
    assert direct_chunks(array).read_into(KEYS[0], out) == [(3, 0, 0), (3, 0, 1)]
    assert direct_chunks(array).read_into(np.s_[0:4, 0:5, 0:6], out[:4]) == []
    sharded = stored(tmp_path / "b", numbers(), (1, 5, 3), shards=(2, 5, 6))
    assert direct_chunks(sharded).read_into(KEYS[0], out) == [(3, 0, 0), (3, 0, 0)]


DAMAGE = {
    # numcodecs decodes a blosc chunk cut short from what lies behind it in memory
    "blosc": (BloscCodec(), lambda raw: raw[:-1], "bytes are not what its header says"),
    "blosc, head only": (BloscCodec(), lambda raw: raw[:9], "9 bytes are not what its header"),
    "blosc of another length": (
        BloscCodec(),
        lambda raw: blosc.compress(bytes(178), b"lz4", 5),
        "holds 178 bytes of pixels, not 180",
    ),
    "zstd": (ZstdCodec(), lambda raw: raw[:-4], "Zstd decompression error"),
    "zstd of another length": (
        ZstdCodec(),
        lambda raw: numcodecs.Zstd().encode(bytes(178)),
        "holds 178 bytes of pixels, not 180",
    ),
    "crc32c": (Crc32cCodec(), lambda raw: raw[:7] + b"\xff" + raw[8:], "checksum does not match"),
    "stored": (None, lambda raw: raw[:-2], "holds 178 bytes of pixels, not 180"),
    "empty": (None, lambda raw: b"", "holds 0 bytes of pixels, not 180"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_chunk_is_refused_by_its_name(tmp_path, kind):
    codec, damage, words = DAMAGE[kind]
    array = stored(tmp_path / "a", numbers(), compressors=codec)
    chunk = tmp_path / "a" / "c" / "1" / "0" / "0"
    chunk.write_bytes(damage(chunk.read_bytes()))
    chunks, out = direct_chunks(array), np.empty((3, 5, 6), "u2")
    chunks.read_into(np.s_[0:3, 0:5, 0:6], out)
    with pytest.raises((ValueError, RuntimeError), match=words):
        chunks.read_into(np.s_[3:6, 0:5, 0:6], out)


SHARD_DAMAGE = {
    "cut short": (lambda raw: raw[:20], "20 bytes are fewer than the index of a shard"),
    "index": (lambda raw: raw[:-9] + b"\x01" + raw[-8:], "index: the checksum does not match"),
    "pointer": (lambda raw: raw[180:], "the index points to byte 540 of"),
}


@pytest.mark.parametrize("kind", SHARD_DAMAGE)
def test_a_damaged_shard_is_refused_by_its_name(tmp_path, kind):
    damage, words = SHARD_DAMAGE[kind]
    pixels = numbers(shape=(9, 5, 6))
    array = stored(tmp_path / "a", pixels, (3, 5, 6), shards=(9, 5, 6), compressors=None)
    shard = tmp_path / "a" / "c" / "0" / "0" / "0"
    shard.write_bytes(damage(shard.read_bytes()))
    out = np.empty((3, 5, 6), "u2")
    with pytest.raises(ValueError, match=f"c/0/0/0.*{words}"):
        direct_chunks(array).read_into(np.s_[6:9, 0:5, 0:6], out)


def test_a_shard_that_is_replaced_is_read_by_its_own_index(tmp_path):
    pixels = numbers()
    choices = {"chunks": (1, 5, 6), "shards": (2, 5, 6)}
    chunks = direct_chunks(stored(tmp_path / "a", pixels, **choices))
    out = np.empty(SHAPE, "u2")
    chunks.read_into(KEYS[0], out)
    other = zarr.open_array(tmp_path / "a", mode="r+")
    other[1:6] = 1
    chunks.read_into(KEYS[0], out)
    pixels[1:6] = 1
    np.testing.assert_array_equal(out, pixels)


def test_another_process_reads_on_its_own(tmp_path):
    pixels = numbers()
    chunks = direct_chunks(stored(tmp_path / "a", pixels, (1, 5, 6), shards=(2, 5, 6)))
    chunks.read_into(KEYS[0], np.empty(SHAPE, "u2"))
    out = np.empty(SHAPE, "u2")
    pickle.loads(pickle.dumps(chunks)).read_into(KEYS[0], out)
    np.testing.assert_array_equal(out, pixels)


def test_few_indices_are_kept(tmp_path):
    n = 3 * INDICES
    made = zarr.create_array(tmp_path / "a", shape=(n, 2), chunks=(1, 1), shards=(1, 2), dtype="u2")
    made[:] = pixels = numbers(shape=(n, 2)) + 1
    chunks, out = direct_chunks(zarr.open_array(tmp_path / "a", mode="r")), np.empty((n, 2), "u2")
    chunks.read_into(np.s_[0:n, 0:2], out)
    np.testing.assert_array_equal(out, pixels)
    assert len(chunks._indices) == INDICES


def test_what_is_not_known_is_left_to_others(tmp_path):
    def served(name, store=None, dtype="u2", **choices):
        return direct_chunks(stored(store or tmp_path / name, numbers(dtype), **choices))

    assert served("known") is not None
    assert served("memory", MemoryStore()) is None
    assert served("gzip", compressors=GzipCodec()) is None
    assert served("turned", filters=TransposeCodec(order=(0, 2, 1))) is None
    assert served("big", dtype=">u2", zarr_format=2) is None
    assert served("endian", serializer=BytesCodec(endian="big")) is None
    assert served("fortran", zarr_format=2, order="F") is None
    assert served("delta", zarr_format=2, filters=numcodecs.Delta("u2")) is None
    assert served("twice", compressors=[ZstdCodec(), BloscCodec()]) is None
    assert served("first", compressors=[Crc32cCodec(), ZstdCodec()]) is None

    codecs = {"index_codecs": [BytesCodec(), ZstdCodec(), Crc32cCodec()]}
    packed = ShardingCodec(chunk_shape=(1, 5, 6), **codecs)
    assert served("index", serializer=packed, compressors=None) is None

    class Wrapped(LocalStore):
        """It may answer otherwise than by the files."""

    wrapped = Wrapped(tmp_path / "known", read_only=True)
    assert direct_chunks(zarr.open_array(wrapped, mode="r")) is None


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path, monkeypatch):
    pixels = numbers()
    array = stored(tmp_path / "a", pixels, (1, 5, 6), shards=(3, 5, 6))
    chunks = direct_chunks(array)
    out = np.empty_like(pixels)
    chunks.read_into([slice(0, n) for n in SHAPE], out)  # its index is kept
    monkeypatch.setattr("slime.direct.read_at", lambda file, memory, offset: len(memory) - 1)
    with pytest.raises(ValueError, match=r"ends after \d+ of \d+ bytes"):
        chunks.read_into([slice(0, n) for n in SHAPE], out)


def test_without_preadv_a_file_is_read_all_the_same(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "preadv")
    (tmp_path / "a").write_bytes(bytes(range(100)))
    file, memory = os.open(tmp_path / "a", os.O_RDONLY), np.zeros(50, np.uint8)
    try:
        assert read_at(file, memory, 30) == 50
        assert memory.tolist() == list(range(30, 80))
        assert read_at(file, memory, 90) == 10
        assert memory[:10].tolist() == list(range(90, 100))
    finally:
        os.close(file)


def test_pieces_put_a_selection_together():
    whole = np.arange(11 * 7).reshape(11, 7)
    for key in (np.s_[0:11, 0:7], np.s_[1:10:3, 2:7:4], np.s_[4:5, 6:7], np.s_[9:9, 0:7]):
        out = np.full(whole[key].shape, -1)
        for piece in pieces_of(key, (11, 7), (4, 3)):
            chunk = whole[
                tuple(slice(c * i, c * (i + 1)) for c, i in zip((4, 3), piece.chunk, strict=True))
            ]
            out[piece.place] = chunk[piece.inside]
        np.testing.assert_array_equal(out, whole[key])
