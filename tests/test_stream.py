import threading
import time
import tracemalloc
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from torch.utils.data import DataLoader
from zarr.storage import MemoryStore, WrapperStore

from slime.errors import SlimeError, StoreError
from slime.movie import open_movie
from slime.reuse import Memory
from slime.split import Split, temporal_splits
from slime.stream import Batch, WindowDataset, WindowStream
from slime.windows import WindowSpec

SMALL = 6_000  # bytes: holds some blocks of 8 frames of 4 x 5 uint16 (320 bytes), not a movie


@pytest.fixture
def dish(bare, numbered):
    """A stored movie of numbered frames, in chunks of the given number of frames."""

    def movie(n, per_chunk=1, name="a dish.zarr", **choices):
        return open_movie(bare(numbered(n), name, chunks=(per_chunk, 4, 5)), **choices)

    return movie


def whole(movie, name="train"):
    return Split(name, 0, movie.sizes["time"])


def windows_of(stream):
    """(movie, frame numbers) of each window, in order, read off the pixels."""
    seen = []
    for batch in stream:
        pixels = torch.cat([batch.past, batch.future], 1)
        assert (pixels == pixels[..., :1, :1]).all()  # no window mixes two frames in one
        frames = (pixels[:, :, 0, 0, 0] - 1).int()
        assert frames[:, 0].tolist() == batch.start.tolist()
        seen += [(m, *f) for m, f in zip(batch.movie.tolist(), frames.tolist(), strict=True)]
    return seen


def every_window(n, spec, movie=0, start=0):
    last = n - (spec.n_frames - 1) * spec.step
    return [
        (movie, *(s + k * spec.step for k in range(spec.n_frames)))
        for s in range(start, last, spec.hop)
    ]


SPECS = [
    WindowSpec(),
    WindowSpec(n_in=4, n_out=2, step=3),
    WindowSpec(n_in=2, hop=3),
    WindowSpec(n_in=9, n_out=2),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("per_chunk", [1, 3, 16])
@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("budget", [12_000, 10**9])
def test_each_window_comes_once_an_epoch_with_its_own_frames(dish, spec, per_chunk, seed, budget):
    movie = dish(301, per_chunk)
    stream = WindowStream(
        [movie], [whole(movie)], spec, batch_size=7, seed=seed, memory_budget=budget
    )
    assert stream.resident == (budget == 10**9)
    expected = every_window(301, spec)
    assert stream.n_windows == len(expected)
    for _ in range(2):
        seen = windows_of(stream)
        if seed is None:
            assert seen == expected
        else:
            assert seen != expected
            assert Counter(seen) == Counter(expected)


def test_batches_are_float32_with_axes_b_t_c_y_x(bare, numbered):
    movie = open_movie(bare(numbered(20, 2)), axes="TCYX")
    stream = WindowStream([movie], [whole(movie)], WindowSpec(n_in=3, n_out=2), batch_size=7)
    batches = list(stream)
    assert len(stream) == len(batches) == 3
    assert [len(b.start) for b in batches] == [7, 7, 2]
    first = batches[0]
    assert first.past.shape == (7, 3, 2, 4, 5)
    assert first.future.shape == (7, 2, 2, 4, 5)
    assert first.past.dtype == first.future.dtype == torch.float32
    assert first.movie.dtype == first.start.dtype == torch.int64
    assert first.mask is None


def test_frames_keep_their_stored_type_and_nothing_wraps_around(bare):
    pixels = np.full((30, 4, 5), 65535, "uint16")
    pixels[1::2] = 3
    movie = open_movie(bare(pixels))
    stream = WindowStream([movie], [whole(movie)], WindowSpec(), batch_size=29)
    assert stream._held[0].pixels.dtype == np.uint16
    (batch,) = stream
    assert (batch.future - batch.past)[:2, 0, 0, 0, 0].tolist() == [-65532, 65532]


@pytest.mark.parametrize("budget", [SMALL, 10**9])
def test_order_is_a_function_of_seed_and_epoch(dish, budget):
    movie = dish(200)

    def epochs(seed, n=2):
        stream = WindowStream(
            [movie], [whole(movie)], WindowSpec(), batch_size=9, seed=seed, memory_budget=budget
        )
        return [windows_of(stream) for _ in range(n)]

    one = epochs(1)
    assert one == epochs(1)
    assert one[0] != one[1]
    assert one[0] != epochs(2)[0]


@pytest.mark.parametrize("budget", [SMALL, 10**9])
def test_a_stream_goes_on_where_it_was_stopped(dish, budget):
    movie = dish(150)

    def stream():
        return WindowStream(
            [movie],
            [whole(movie)],
            WindowSpec(n_in=3),
            batch_size=11,
            seed=5,
            memory_budget=budget,
        )

    def starts(batches):
        return [b.start.tolist() for b in batches]

    unbroken = stream()
    epochs = [starts(unbroken), starts(unbroken)]
    broken = stream()
    for n in (0, 1, 6, len(broken)):
        first = stream()
        list(first)
        iterator = iter(first)
        for _ in range(n):
            next(iterator)
        if n:
            state = first.state_dict()
            assert (state["epoch"], state["batch"]) == (1, n)
        else:
            state = {**first.state_dict(), "epoch": 1, "batch": 0}
        later = stream()
        later.load_state_dict(state)
        assert later.state_dict() == state  # also if it is saved again at once
        rest = starts(later)
        if n == len(broken):
            assert rest == starts(unbroken)  # the third epoch
        else:
            assert rest == epochs[1][n:]
    fresh = stream()
    fresh.load_state_dict(stream().state_dict())
    assert starts(fresh) == epochs[0]


def test_a_break_is_followed_by_the_next_epoch_and_leaves_no_thread(dish):
    movie = dish(300)
    made = {"batch_size": 9, "seed": 3, "memory_budget": SMALL}
    stream = WindowStream([movie], [whole(movie)], WindowSpec(), **made)
    other = WindowStream([movie], [whole(movie)], WindowSpec(), **made)
    before = threading.active_count()
    for _ in stream:
        break
    deadline = time.monotonic() + 5
    while any(t.name.startswith("slime-read") for t in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert threading.active_count() <= before + 1  # zarr's own event loop stays
    list(other)
    assert windows_of(stream) == windows_of(other)


def test_batches_that_a_caller_keeps_are_never_overwritten(dish):
    movie = dish(200)
    stream = WindowStream([movie], [whole(movie)], WindowSpec(), batch_size=3, memory_budget=SMALL)
    kept = list(stream)
    only_futures = [b.future[:, :, 0] for b in stream]  # a view keeps its memory alone
    as_numpy = [b.past.numpy() for b in stream]
    again = list(stream)
    for one, two, future, past in zip(kept, again, only_futures, as_numpy, strict=True):
        assert torch.equal(one.past, two.past)
        assert torch.equal(one.future[:, :, 0], future)
        np.testing.assert_array_equal(one.past, past)
    assert kept[0].past[0, 0, 0, 0, 0] == 1


def test_memory_that_nobody_holds_is_used_again(dish):
    movie = dish(200)
    stream = WindowStream([movie], [whole(movie)], WindowSpec(), batch_size=10)
    places = set()
    for batch in stream:
        places.add(batch.past.data_ptr())
    assert len(places) <= 4


# --- chunks and memory ---


@pytest.mark.parametrize("per_chunk", [1, 5, 16])
@pytest.mark.parametrize("seed", [None, 2])
@pytest.mark.parametrize("n_in", [1, 7, 12])
def test_each_chunk_is_decoded_once_an_epoch(dish, reads, per_chunk, seed, n_in):
    movie = dish(400, per_chunk)
    stream = WindowStream(
        [movie],
        [Split("train", 3, 397)],
        WindowSpec(n_in=n_in),
        batch_size=16,
        seed=seed,
        memory_budget=12_000,
    )
    assert not stream.resident
    for _ in range(2):
        reads.clear()
        assert len(windows_of(stream)) == 394 - n_in
        first, last = 3 // per_chunk, 396 // per_chunk
        assert len(set(reads)) == last - first + 1
        assert max(Counter(reads).values()) == 1
    assert stream.frames_read == 2 * 394


@pytest.mark.parametrize("resumed", [False, True])
def test_chunks_are_decoded_once_where_blocks_hold_no_window(dish, reads, resumed):
    spec, split = WindowSpec(n_in=6, n_out=3, step=2, hop=30), Split("train", 3, 990)
    movie = dish(1000, 20)

    def new():
        return WindowStream([movie], [split], spec, batch_size=3, seed=4, memory_budget=20_000)

    stream = new()
    assert not stream.resident
    if resumed:
        batches = iter(stream)
        seen = [(0, int(s)) for _ in range(4) for s in next(batches).start]
        stopped, stream = stream, new()
        stream.load_state_dict(stopped.state_dict())
        batches.close()
    else:
        seen = []
    reads.clear()
    seen += [window[:2] for window in windows_of(stream)]
    assert sorted(frame for _, frame in seen) == list(range(3, 990 - spec.span + 1, 30))
    assert max(Counter(reads).values()) == 1


@pytest.mark.parametrize("per_chunk", [1, 12, 50])
def test_a_store_of_any_kind_is_asked_for_each_byte_once(numbered, per_chunk):
    class Counting(WrapperStore):
        n_bytes = 0

        async def get(self, key, prototype, byte_range=None):
            found = await self._store.get(key, prototype, byte_range)
            Counting.n_bytes += len(found) if found is not None and "/c/" in f"/{key}" else 0
            return found

    held = MemoryStore()
    written = zarr.create_array(
        held,
        shape=(600, 4, 5),
        chunks=(min(per_chunk, 10), 4, 5),
        shards=(50, 4, 5) if per_chunk == 50 else None,
        dtype="u2",
        compressors=None,
    )
    written[...] = numbered(600)
    stored = sum(len(v) for k, v in held._store_dict.items() if "c/" in k)
    movie = open_movie(zarr.open_array(Counting(held), mode="r"), axes="TYX")
    spec = WindowSpec(n_in=10, n_out=2)
    stream = WindowStream([movie], [whole(movie)], spec, batch_size=9, seed=1, memory_budget=18_000)
    assert not stream.resident
    assert sorted(windows_of(stream)) == every_window(600, spec)
    assert Counting.n_bytes <= 1.1 * stored


CUTS = {
    "later": np.s_[13:],
    "every third": np.s_[5::3],
    "an area": np.s_[:, :, 1:, 2:4],
    "a channel": np.s_[2:, [1]],
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("seed", [None, 2])
def test_a_movie_cut_along_its_axes_streams_each_chunk_once(tmp_path, reads, cut, seed):
    pixels = placed(300, 4, 5) + 50 * np.arange(2)[:, None, None]
    path = tmp_path / "two.zarr"
    made = zarr.create_array(path, shape=pixels.shape, chunks=(10, 1, 2, 5), dtype="f4")
    made[:] = pixels
    movie = open_movie(path, axes="TCYX")[CUTS[cut]]
    stream = WindowStream(
        [movie], [whole(movie)], WindowSpec(n_in=3), batch_size=9, seed=seed, memory_budget=9_000
    )
    assert not stream.resident
    reads.clear()
    seen = []
    for batch in stream:
        seen += batch.start.tolist()
        for window, start in zip(
            torch.cat([batch.past, batch.future], 1), batch.start.tolist(), strict=True
        ):
            np.testing.assert_array_equal(window, pixels[CUTS[cut]][start : start + 4])
    assert sorted(seen) == list(range(movie.sizes["time"] - 3))
    assert max(Counter(reads).values()) == 1


LAYOUTS = {
    "shards": {"axes": "TYX", "chunks": (4, 8, 6), "shards": (12, 8, 6)},
    "tiles": {"axes": "TYX", "chunks": (10, 4, 3)},
    "channels last": {"axes": "TYXC", "chunks": (5, 4, 6, 1)},
    "z": {"axes": "TZYX", "chunks": (6, 1, 8, 6)},
    "zarr 2": {"axes": "TCYX", "chunks": (7, 1, 8, 3), "zarr_format": 2},
    "big-endian": {"axes": "TCYX", "chunks": (7, 2, 8, 3), "zarr_format": 2, "dtype": ">u2"},
}


@pytest.mark.parametrize("engine", ["zarr", "zarrs", "direct"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("crop", [None, (3, 2)])
def test_every_layout_streams_its_own_pixels(tmp_path, monkeypatch, layout, engine, crop):
    monkeypatch.setenv("SLIME_ENGINE", engine)
    choices = dict(LAYOUTS[layout])
    axes, dtype = choices.pop("axes"), choices.pop("dtype", "u2")
    length = dict(zip("TCZYX", (120, 2, 3, 8, 6), strict=True))
    shape = tuple(length[a] for a in axes)
    path = tmp_path / "movie.zarr"
    made = zarr.create_array(path, shape=shape, dtype=dtype, **choices)
    made[:] = np.random.default_rng(0).integers(1, 999, shape)
    movie = open_movie(path, axes=axes)
    expected = movie.values
    stream = WindowStream(
        [movie],
        [whole(movie)],
        WindowSpec(n_in=2),
        batch_size=5,
        seed=1,
        memory_budget=8_000,
        crop=crop,
    )
    assert not stream.resident
    n = 0
    for batch in stream:
        for window, start in zip(
            torch.cat([batch.past, batch.future], 1).numpy(), batch.start.tolist(), strict=True
        ):
            frames = expected[start : start + 3].astype("float32")
            corners = np.lib.stride_tricks.sliding_window_view(frames, window.shape)
            assert (corners == window).all(axis=(-4, -3, -2, -1)).any()
            n += 1
    assert n == 118


@pytest.mark.parametrize("budget", [40_000, 10**9])
def test_only_the_tiles_that_crops_touch_are_read(tmp_path, reads, budget):
    path = tmp_path / "tiled.zarr"
    made = zarr.create_array(path, shape=(60, 64, 64), chunks=(10, 16, 16), dtype="u2")
    pixels = np.random.default_rng(0).integers(1, 999, (60, 64, 64))
    made[:] = pixels
    movie = open_movie(path)
    stream = WindowStream(
        [movie], [whole(movie)], WindowSpec(), batch_size=5, memory_budget=budget, crop=(32, 20)
    )
    for batch in stream:  # the middle, rows 16 to 48 and columns 22 to 42: tiles 1 and 2
        start = int(batch.start[0])
        np.testing.assert_array_equal(batch.past[0, 0, 0], pixels[start, 16:48, 22:42])
    assert set(reads) == {
        f"tiled.zarr/c/{t}/{y}/{x}" for t in range(6) for y in (1, 2) for x in (1, 2)
    }
    assert max(Counter(reads).values()) == 1


def test_a_resumed_epoch_reads_only_what_it_still_needs(dish, reads):
    movie = dish(400)
    made = {"batch_size": 10, "seed": 2, "memory_budget": SMALL}
    stream = WindowStream([movie], [whole(movie)], WindowSpec(n_in=2), **made)
    stream.load_state_dict({"epoch": 0, "batch": len(stream) - 3})
    reads.clear()
    assert len(windows_of(stream)) == 398 - 10 * (len(stream) - 3)
    assert len(reads) < 200


def test_no_more_blocks_are_held_than_the_budget_allows(dish):
    movie = dish(2000)
    for seed in (None, 0):
        stream = WindowStream(
            [movie],
            [whole(movie)],
            WindowSpec(n_in=3),
            batch_size=256,  # a batch takes from more blocks than are held at once
            seed=seed,
            memory_budget=10_000,
        )
        list(stream)
        # a block of 8 frames and its edges, 2 on each side: 12 frames of 40 bytes
        assert 0 < stream.blocks_held * 12 * 40 <= 10_000


def test_streaming_takes_little_more_memory_than_the_budget(bare):
    pixels = np.random.default_rng(0).integers(1, 255, (320, 64, 65), dtype="uint8")
    movie = open_movie(bare(pixels, chunks=(8, 64, 65)))  # 1.33 MB
    budget = 500_000

    def stream():
        return WindowStream(
            [movie], [whole(movie)], WindowSpec(), batch_size=2, seed=0, memory_budget=budget
        )

    def peak_of_an_epoch(stream):
        tracemalloc.reset_peak()
        for batch in stream:
            del batch
        return tracemalloc.get_traced_memory()[1]

    for _ in stream():
        pass  # zarr's own caches are filled
    tracemalloc.start()
    made = stream()
    first = peak_of_an_epoch(made)
    held = tracemalloc.get_traced_memory()[0]
    second = peak_of_an_epoch(made)
    for _ in made:
        break  # an epoch that is left early gives its memory back too
    left = tracemalloc.get_traced_memory()[0]
    third = peak_of_an_epoch(made)
    tracemalloc.stop()
    ring = 8 * 2 * 2 * 64 * 65 * 4
    assert 0.5 * budget < first < budget + ring + 200_000
    # 366 kB of blocks are kept for the next epoch; its plan and threads take 200 kB, and edges that
    # were waiting when an epoch was left are made anew
    assert second - held < 300_000
    assert third - left < 450_000
    assert max(second, third) < budget + ring + 200_000


def test_a_budget_below_the_block_of_one_window_is_refused_with_what_would_do(dish):
    movie = dish(100, 20)
    need = (20 + 2) * 4 * 5 * 2  # a chunk's frames and an edge on either side, uint16
    made = {"batch_size": 4, "seed": 0}
    stream = WindowStream([movie], [whole(movie)], WindowSpec(), memory_budget=need, **made)
    assert sorted(windows_of(stream)) == every_window(100, WindowSpec())
    assert stream.blocks_held == 1
    with pytest.raises(
        SlimeError, match=rf"={need - 1} bytes is too small.* {need}\. .*ingest_movie"
    ):
        WindowStream([movie], [whole(movie)], WindowSpec(), memory_budget=need - 1, **made)


def test_a_chunk_that_decodes_to_more_than_the_budget_is_refused_unread(tmp_path, reads):
    path = tmp_path / "big.zarr"
    zarr.create_array(path, shape=(4096, 512, 512), chunks=(4096, 512, 512), dtype="u1")
    (path / "c" / "0" / "0").mkdir(parents=True)
    (path / "c" / "0" / "0" / "0").write_bytes(b"little, but it claims 1 GiB")
    movie = open_movie(path)
    with pytest.raises(SlimeError, match="is too small"):
        WindowStream([movie], [whole(movie)], WindowSpec(), batch_size=4, memory_budget=2**28)
    assert reads == []


def test_a_movie_chunked_by_dask_streams_the_same(dish):
    movie = dish(500, 4)
    chunked = movie.chunk(time=10)
    made = {"batch_size": 8, "seed": 1, "memory_budget": 12_000}
    streams = [WindowStream([m], [whole(m)], WindowSpec(), **made) for m in (movie, chunked)]
    assert not any(s.resident for s in streams)
    assert Counter(windows_of(streams[0])) == Counter(windows_of(streams[1]))


# --- several movies ---


def test_movies_are_mixed_in_proportion(dish):
    long, short = dish(800), dish(200, name="short.zarr")
    stream = WindowStream(
        [long, short],
        [whole(long), whole(short)],
        WindowSpec(),
        batch_size=50,
        seed=0,
        memory_budget=SMALL,
    )
    assert not stream.resident
    shares = [b.movie.float().mean().item() for b in stream]
    assert np.mean(shares[: len(shares) // 2]) == pytest.approx(0.2, abs=0.06)
    expected = every_window(800, WindowSpec()) + every_window(200, WindowSpec(), movie=1)
    assert Counter(windows_of(stream)) == Counter(expected)


def test_movies_that_cannot_share_a_batch_are_refused(in_memory, numbered):
    movie = in_memory(numbered(9))
    cut = whole(movie)
    spec = WindowSpec()
    wide = in_memory(np.ones((9, 4, 6)), "wide")
    two = in_memory(np.ones((9, 2, 4, 5)), "two")
    for movies, splits, message in (
        ([], [], "0 movies and 0 splits"),
        ([movie, movie], [cut], "2 movies and 1 splits: one split a movie"),
        ([movie, wide], [cut, cut], r"movie 4 x 5, wide 4 x 6\): data\.crop"),
        ([movie, two], [cut, cut], r"unequal channels cannot be mixed \(movie 1, two 2\)"),
        ([movie], [Split("val", 0, 10)], "'val' ends at frame 10, but movie has 9"),
    ):
        with pytest.raises(SlimeError, match=message):
            WindowStream(movies, splits, spec, batch_size=2)
    with pytest.raises(SlimeError, match=r"data\.crop=\[5, 5\] does not fit movie: 4 x 5"):
        WindowStream([movie], [cut], spec, batch_size=2, crop=(5, 5))
    with pytest.raises(SlimeError, match=r"optim\.batch_size=0 must be at least 1"):
        WindowStream([movie], [cut], spec, batch_size=0)
    with pytest.raises(SlimeError, match="seed=-1 must be 0 or more"):
        WindowStream([movie], [cut], spec, batch_size=2, seed=-1)


def test_a_gap_shorter_than_a_window_is_refused(in_memory, numbered):
    movie = in_memory(numbered(60))
    cut = temporal_splits(60, {"train": 0.5, "val": 0.5}, gap=3)
    WindowStream([movie], [cut["train"]], WindowSpec(n_in=3), batch_size=2)
    with pytest.raises(SlimeError, match=r"data\.gap=3 at the borders .* span - 1 = 4 frames"):
        WindowStream([movie], [cut["train"]], WindowSpec(n_in=2, step=2), batch_size=2)


# --- crops, masks, blanks ---


def placed(n=20, y=7, x=9):
    """Frames (t, 1, y, x) of which each pixel is 10000 t + 100 y + x + 1."""
    t, i, j = np.ogrid[:n, :y, :x]
    return (10000 * t + 100 * i + j + 1)[:, None].astype("float32")


@pytest.mark.parametrize("seed", [None, 0])
def test_a_crop_is_one_area_of_its_windows_frames(in_memory, seed):
    movie = in_memory(placed())
    stream = WindowStream(
        [movie], [whole(movie)], WindowSpec(n_in=2), batch_size=18, seed=seed, crop=(3, 4)
    )
    corners = set()
    for _ in range(4):
        (batch,) = stream
        pixels = torch.cat([batch.past, batch.future], 1)
        assert pixels.shape == (18, 3, 1, 3, 4)
        for window, start in zip(pixels, batch.start.tolist(), strict=True):
            corner = int(window[0, 0, 0, 0]) - 1 - 10000 * start
            y, x = divmod(corner, 100)
            corners.add((y, x))
            expected = movie.values[start : start + 3, :, y : y + 3, x : x + 4]
            np.testing.assert_array_equal(window, expected)
    if seed is None:
        assert corners == {(2, 2)}  # the middle: (7 - 3) // 2, (9 - 4) // 2
    else:
        assert {y for y, _ in corners} == set(range(5))
        assert {x for _, x in corners} == set(range(6))


@pytest.mark.parametrize("budget", [60_000, 10**9])
def test_masks_come_with_their_target_frames(bare, in_memory, budget):
    pixels = placed(300)
    valid = (pixels.astype(int) // 100 + pixels.astype(int)) % 3 > 0
    movie = open_movie(bare(pixels[:, 0]), mask=valid[:, 0])
    stream = WindowStream(
        [movie],
        [whole(movie)],
        WindowSpec(n_in=2, n_out=2, step=2),
        batch_size=9,
        seed=1,
        memory_budget=budget,
        crop=(5, 6),
    )
    assert stream.resident == (budget == 10**9)
    for batch in stream:
        assert batch.mask is not None
        assert batch.mask.dtype == torch.bool
        # each pixel tells its own place, and so whether it counts
        code = batch.future.numpy().astype(int)
        np.testing.assert_array_equal(batch.mask, (code // 100 + code) % 3 > 0)


def test_a_movie_without_a_mask_counts_everywhere_beside_one_with(in_memory, numbered):
    plain = in_memory(numbered(9), "plain")
    valid = np.arange(20).reshape(4, 5) % 2 == 0
    masked = in_memory(numbered(9), "masked", mask=(("y", "x"), valid))
    stream = WindowStream(
        [plain, masked], [whole(plain), whole(masked)], WindowSpec(), batch_size=16
    )
    (batch,) = stream
    assert batch.mask is not None
    assert batch.mask[batch.movie == 0].all()
    assert (batch.mask[batch.movie == 1].numpy() == valid).all()
    (alone,) = WindowStream([plain], [whole(plain)], WindowSpec(), batch_size=16)
    assert alone.mask is None


def test_nan_under_the_mask_reads_as_its_frames_mean_and_does_not_count(in_memory):
    pixels = np.arange(6 * 20, dtype="float32").reshape(6, 4, 5)
    valid = np.ones((6, 4, 5), bool)
    valid[2, 1, 3] = valid[4, 0, 0] = False
    poisoned = np.where(valid, pixels, [np.nan, np.inf][0])
    poisoned[4, 0, 0] = np.inf
    movie = in_memory(poisoned, mask=(("time", "y", "x"), valid))
    stream = WindowStream([movie], [whole(movie)], WindowSpec(), batch_size=5)
    (batch,) = stream
    mean = np.delete(pixels[2].ravel(), 8).mean()
    assert batch.past[2, 0, 0, 1, 3].item() == pytest.approx(mean)
    assert batch.future[1, 0, 0, 1, 3].item() == pytest.approx(mean)
    assert batch.mask is not None
    assert not batch.mask[1, 0, 0, 1, 3]
    assert torch.isfinite(batch.past).all()
    assert np.isnan(movie.values[2, 0, 1, 3])  # the movie itself is as it was


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("budget", [14_000, 10**9])
def test_pixels_that_count_must_be_finite_numbers(bare, numbered, bad, budget):
    pixels = numbered(200, dtype="float64")
    pixels[33, 2, 1] = pixels[34] = bad
    movie = open_movie(bare(pixels))
    line = r"a dish: (1|20|21) pixels are NaN or infinite, in \d frames \((33|34|33 to 34)\)"
    with pytest.raises(StoreError, match=line):
        list(
            WindowStream([movie], [whole(movie)], WindowSpec(), batch_size=8, memory_budget=budget)
        )


def test_a_frame_without_a_finite_pixel_is_refused_also_if_masked(in_memory):
    pixels = np.ones((9, 4, 5))
    pixels[3] = np.nan
    movie = in_memory(pixels, mask=(("time", "y", "x"), ~np.isnan(pixels)))
    with pytest.raises(StoreError, match=r"NaN or infinite, in 1 frames \(3\)"):
        WindowStream([movie], [whole(movie)], WindowSpec(), batch_size=3)
    blank = movie.assign_coords(blank=("time", np.arange(9) == 3))
    stream = WindowStream([blank], [whole(blank)], WindowSpec(), batch_size=3)
    assert [s for b in stream for s in b.start.tolist()] == [0, 1, 4, 5, 6, 7]


@pytest.mark.parametrize("budget", [SMALL, 10**9])
def test_windows_that_touch_a_blank_frame_are_left_out(bare, numbered, budget):
    pixels = numbered(200)
    pixels[[5, 90, 91]] = 0
    pixels[100:140] = 0  # whole blocks
    movie = open_movie(bare(pixels))
    spec = WindowSpec(n_in=2, step=2)
    stream = WindowStream([movie], [whole(movie)], spec, batch_size=8, seed=0, memory_budget=budget)
    blank = {5, 90, 91, *range(100, 140)}
    expected = [w for w in every_window(200, spec) if not blank & set(w[1:])]
    assert Counter(windows_of(stream)) == Counter(expected)
    assert stream.n_windows == len(expected)


def test_a_split_without_a_clear_window_is_refused(bare, numbered):
    pixels = numbered(20)
    pixels[::2] = 0
    movie = open_movie(bare(pixels))
    with pytest.raises(SlimeError, match=r"no window of 2 frames is free of blank frames"):
        WindowStream([movie], [whole(movie)], WindowSpec(), batch_size=2)


# --- threads ---


def test_a_fault_in_a_reading_thread_reaches_the_caller(bare, numbered):
    path = bare(numbered(400, dtype="uint16"), chunks=(8, 4, 5))
    (path / "c" / "30" / "0" / "0").write_bytes(b"rubbish")
    movie = open_movie(path)
    stream = WindowStream(
        [movie], [whole(movie)], WindowSpec(n_in=4), batch_size=8, seed=0, memory_budget=12_000
    )
    assert not stream.resident
    for _ in range(2):
        with pytest.raises(StoreError, match=r"chunk 'c/30/0/0', frames 240 to 247"):
            list(stream)
    assert not any(t.name.startswith("slime-read") for t in threading.enumerate())


def test_slow_and_uneven_reads_change_nothing(dish, monkeypatch):
    movie = dish(200)
    made = {"batch_size": 8, "seed": 4, "memory_budget": SMALL}
    spec = WindowSpec(n_in=5)
    quick = windows_of(WindowStream([movie], [whole(movie)], spec, **made))
    from slime import reader

    read, draw = reader.read_frames, np.random.default_rng(0)

    def slow(*args, **choices):
        time.sleep(draw.uniform(0, 0.01))
        return read(*args, **choices)

    monkeypatch.setattr(reader, "read_frames", slow)
    stream = WindowStream([movie], [whole(movie)], spec, **made)
    assert windows_of(stream) == quick
    assert stream.wait_s > 0


# --- many processes ---


@pytest.mark.parametrize("budget", [SMALL, 10**9])
@pytest.mark.parametrize("world_size", [2, 3, 7])
@pytest.mark.parametrize("seed", [None, 3])
def test_ranks_share_an_epoch_without_overlap_or_loss(dish, budget, world_size, seed):
    movies = [dish(200, 5), dish(90, 3, "b dish.zarr")]
    spec = WindowSpec(n_in=3)
    made = {"batch_size": 16, "seed": seed, "memory_budget": budget}
    splits = list(map(whole, movies))
    streams = [
        WindowStream(movies, splits, spec, rank=rank, world_size=world_size, **made)
        for rank in range(world_size)
    ]
    alone = WindowStream(movies, splits, spec, **made)
    expected = every_window(200, spec) + every_window(90, spec, movie=1)
    for _ in range(2):
        shares = [[windows_of([batch]) for batch in stream] for stream in streams]
        assert [len(share) for share in shares] == [len(alone)] * world_size
        assert sorted(w for share in shares for batch in share for w in batch) == expected
        sizes = [sum(map(len, share)) for share in shares]
        assert sizes == [stream.n_windows for stream in streams]
        if budget > SMALL:  # batch by batch those of one process
            for i, batch in enumerate(alone):
                together = sorted(w for share in shares for w in share[i])
                assert together == sorted(windows_of([batch]))


def test_ranks_that_stream_read_little_twice(dish, reads):
    movie = dish(400, 5)
    for rank in range(3):
        stream = WindowStream(
            [movie],
            [whole(movie)],
            WindowSpec(n_in=4),
            batch_size=9,
            seed=0,
            memory_budget=SMALL,
            rank=rank,
            world_size=3,
        )
        list(stream)
    assert len(reads) <= 1.1 * 80


def test_a_rank_is_one_of_the_world(dish):
    movie = dish(30)
    with pytest.raises(SlimeError, match="rank=2 must be from 0 to 1"):
        WindowStream([movie], [whole(movie)], WindowSpec(), batch_size=4, rank=2, world_size=2)


def test_a_position_within_an_epoch_of_another_order_is_refused(dish):
    movie = dish(400)
    made = {"batch_size": 11, "seed": 5}
    stream = WindowStream([movie], [whole(movie)], WindowSpec(), memory_budget=SMALL, **made)
    next(iter(stream))
    state = stream.state_dict()
    other = WindowStream([movie], [whole(movie)], WindowSpec(), memory_budget=2 * SMALL, **made)
    with pytest.raises(SlimeError, match=r"mixed_blocks=.* go on with the same movies"):
        other.load_state_dict(state)
    other.load_state_dict({**state, "batch": len(stream)})  # between two epochs all is well


def test_a_data_loader_takes_it_without_workers(dish):
    movie = dish(50)
    stream = WindowStream([movie], [whole(movie)], WindowSpec(), batch_size=8)
    loader = DataLoader(stream, batch_size=None)
    batches = list(loader)
    assert len(loader) == len(batches) == 7
    assert isinstance(batches[0], Batch)
    assert [s for b in batches for s in b.start.tolist()] == list(range(49))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork")
def test_worker_processes_are_refused(in_memory, numbered):
    movie = in_memory(numbered(9))
    stream = WindowStream([movie], [whole(movie)], WindowSpec(), batch_size=8)
    loader = DataLoader(stream, batch_size=None, num_workers=1, multiprocessing_context="fork")
    with pytest.raises(SlimeError, match="num_workers=0"):
        list(loader)


# --- the map-style set ---


def test_a_window_set_gives_windows_by_number(dish):
    movie = dish(30)
    spec = WindowSpec(n_in=2, n_out=2, step=3)
    windows = WindowDataset(movie, Split("val", 5, 30), spec)
    assert len(windows) == 25 - 9
    past, future = windows[4]
    assert past.shape == future.shape == (2, 1, 4, 5)
    assert past.dtype == torch.float32
    assert past[:, 0, 0, 0].tolist() == [10, 13]  # frames 9 and 12
    assert future[:, 0, 3, 4].tolist() == [16, 19]
    assert windows[-1][1][-1, 0, 0, 0] == 30
    batch, _ = next(iter(DataLoader(windows, batch_size=3)))
    assert batch.shape == (3, 2, 1, 4, 5)
    with pytest.raises(IndexError):
        windows[16]


def test_a_window_set_leaves_out_blank_frames(bare, numbered):
    pixels = numbered(10)
    pixels[4] = 0
    movie = open_movie(bare(pixels))
    with pytest.raises(SlimeError, match=rf"ends at frame {len(movie) + 1}, but"):
        WindowDataset(movie, Split("all", 0, len(movie) + 1), WindowSpec())
    with pytest.raises(SlimeError, match=r"data\.gap=1 .* is shorter than"):
        WindowDataset(movie, Split("val", 0, 4, gap=1), WindowSpec(n_in=2))
    windows = WindowDataset(movie, whole(movie), WindowSpec())
    assert [int(windows[i][0][0, 0, 0, 0]) for i in range(len(windows))] == [1, 2, 3, 6, 7, 8, 9]


def test_a_stream_wants_a_movie(numbered):
    odd = xr.DataArray(numbered(5), dims=("time", "y", "x"))
    with pytest.raises(SlimeError, match="has axes"):
        WindowStream([odd], [Split("train", 0, 5)], WindowSpec(), batch_size=2)


def test_a_stream_says_how_it_reads(dish, numbered, monkeypatch):
    monkeypatch.setenv("SLIME_ENGINE", "zarr")
    movie = dish(301, 10)  # 12040 bytes
    common = {"batch_size": 7, "seed": 0}

    def said(budget):
        stream = WindowStream([movie], [whole(movie)], WindowSpec(), memory_budget=budget, **common)
        return stream.description()

    assert said(1 << 30) == (
        "all 1.12e-05 GiB of frames held in memory, shuffled fully, decoded by zarr-python"
    )
    # a block of 10 frames with 3 edges of one takes 520 bytes; two of 440 are read ahead
    assert said(SMALL) == (
        "1.12e-05 GiB of frames streamed within 5.59e-06 GiB, shuffled: 9 of 31 blocks of up to "
        "10 frames at a time, decoded by zarr-python"
    )
    loaded = movie.load()
    stream = WindowStream([loaded], [whole(loaded)], WindowSpec(), batch_size=7)
    assert stream.description() == (
        "all 1.12e-05 GiB of frames held in memory, in time order, decoded by nothing (given in "
        "memory)"
    )


def test_all_that_a_stream_holds_is_within_its_budget(dish, monkeypatch):
    """Blocks in memory, those under way, and edges kept for others, at the worst moment."""
    held, most = Counter(), 0
    take, give = Memory.take, Memory.give

    def taking(self, shape, dtype):
        nonlocal most
        array = take(self, shape, dtype)
        held[id(self), array.ctypes.data] = array.nbytes
        most = max(most, sum(held.values()))
        return array

    def giving(self, array):
        del held[id(self), array.ctypes.data]
        give(self, array)

    monkeypatch.setattr(Memory, "take", taking)
    monkeypatch.setattr(Memory, "give", giving)
    movie = dish(1500, 4)
    for budget, n_in in product((1_500, 3_000, 8_000, 16_000), (1, 4, 12)):
        spec = WindowSpec(n_in=n_in)
        stream = WindowStream(
            [movie], [whole(movie)], spec, batch_size=3, seed=0, memory_budget=budget
        )
        assert sorted(windows_of(stream)) == every_window(1500, spec)
        assert 0.6 * budget < most <= budget
        assert not held
        most = 0
