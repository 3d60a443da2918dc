import numpy as np
import pytest
import torch

from slime.errors import SlimeError, StoreError
from slime.movie import open_movie
from slime.scale import Standardizer
from slime.schedule import scheduler
from slime.split import Split, temporal_splits

TRAIN = Split("train", 0, 20)


def test_splits_that_do_not_fit_their_movies_are_refused(in_memory):
    movie = in_memory(np.random.default_rng(0).random((20, 4, 5)))
    for movies, splits, what in (
        ([], [], "0 movies and 0 splits"),
        ([movie], [TRAIN, TRAIN], "1 movies and 2 splits"),
        ([movie], [Split("train", 0, 21)], "ends at frame 21, but .* has 20"),
    ):
        with pytest.raises(SlimeError, match=what):
            Standardizer.fit(movies, splits)


def expected(pixels, counts, step):
    """Mean, sd and rms change by channel, by numpy over the pixels that count."""
    pixels, counts = pixels.astype(float), np.broadcast_to(counts, pixels.shape)
    rows = []
    for c in range(pixels.shape[1]):
        own = pixels[:, c][counts[:, c]]
        both = counts[step:, c] & counts[:-step, c]
        change = (pixels[step:, c] - pixels[:-step, c])[both]
        rows.append((own.mean(), own.std(), np.sqrt((change**2).mean())))
    return np.array(rows).T


def check(scale, rows, rtol=1e-6):
    """float32 buffers: 1e-6 is their rounding."""
    for name, row in zip(("mean", "std", "delta_std"), rows, strict=True):
        np.testing.assert_allclose(getattr(scale, name).numpy(), row, rtol=rtol, err_msg=name)


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(1, 5000, (40, 2, 4, 5)).astype("uint16")


@pytest.mark.parametrize("step", [1, 3, 19])
@pytest.mark.parametrize("per_chunk", [1, 7])
@pytest.mark.parametrize("pass_bytes", [1, 16 << 20])
def test_the_scale_is_numpys_over_the_train_frames_alone(
    bare, noise, step, per_chunk, pass_bytes, monkeypatch
):
    monkeypatch.setattr("slime.frames.PASS_BYTES", pass_bytes)
    cut = temporal_splits(40, {"train": 0.5, "val": 0.25, "test": 0.25})
    noise[20:] = 65535  # poison
    movie = open_movie(bare(noise, chunks=(per_chunk, 1, 4, 5)), axes="TCYX")
    scale = Standardizer.fit([movie], [cut["train"]], step=step)
    check(scale, expected(noise[:20], True, step))


def test_frames_before_the_split_are_not_seen(in_memory, noise):
    noise[:13] = 65535
    scale = Standardizer.fit([in_memory(noise)], [Split("train", 13, 33)])
    check(scale, expected(noise[13:33], True, 1))


def test_changes_are_not_taken_across_movies_and_their_pixels_are_pooled(in_memory, noise):
    one, two = in_memory(noise[:8]), in_memory(noise[15:35] + np.uint16(9000))
    splits = [Split("train", 0, 8), Split("train", 0, 20)]
    scale = Standardizer.fit([one, two], splits)
    mean, std, _ = expected(np.concatenate([one.values, two.values]), True, 1)
    changes = [np.diff(m.values.astype(float), axis=0) ** 2 for m in (one, two)]
    delta = np.sqrt(np.concatenate(changes).mean(axis=(0, 2, 3)))
    check(scale, (mean, std, delta))


def test_blank_frames_and_masked_pixels_are_left_out(in_memory, noise):
    blank = np.zeros(40, bool)
    blank[[3, 7]] = True
    valid = np.random.default_rng(1).random((40, 2, 4, 5)) > 0.3
    poisoned = np.where(valid & ~blank[:, None, None, None], noise, 65535).astype("uint16")
    movie = in_memory(
        poisoned,
        mask=(("time", "channel", "y", "x"), valid),
        blank=("time", blank),
    )
    scale = Standardizer.fit([movie], [TRAIN], step=2)
    counts = valid & ~blank[:, None, None, None]
    check(scale, expected(noise[:20], counts[:20], 2))


def test_nan_in_blank_frames_and_under_masks_does_not_spread(in_memory, noise):
    pixels = noise.astype("float32")
    pixels[5] = np.nan
    pixels[9, :, 1, 2] = np.nan
    valid = np.ones((4, 5), bool)
    valid[1, 2] = False
    movie = in_memory(pixels, mask=(("y", "x"), valid), blank=("time", np.arange(40) == 5))
    counts = np.broadcast_to(valid, noise.shape) & (np.arange(40) != 5)[:, None, None, None]
    check(Standardizer.fit([movie], [TRAIN]), expected(noise[:20], counts[:20], 1))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_small_spread_on_a_large_offset_is_found(in_memory, dtype):
    steps = np.random.default_rng(0).integers(-2, 3, (200, 1, 40, 50))
    movie = in_memory((60000 + steps).astype(dtype))
    scale = Standardizer.fit([movie], [Split("train", 0, 200)])
    check(scale, expected(60000.0 + steps, True, 1))
    # the naive mean of squares less the square of the mean has lost it in float32
    assert scale.std.item() == pytest.approx(np.sqrt(2), rel=0.01)


def test_integers_do_not_wrap_around_in_changes(in_memory):
    pixels = np.zeros((20, 1, 4, 5), "uint8")
    pixels[1::2] = 255
    scale = Standardizer.fit([in_memory(pixels)], [TRAIN])
    check(scale, ([127.5], [127.5], [255.0]))


def test_standard_units_and_back():
    scale = Standardizer(*(torch.tensor(v) for v in ([1.0, 10.0], [2.0, 5.0], [1.0, 1.0])))
    frames = torch.tensor([3.0, 20.0]).reshape(1, 2, 1, 1).expand(3, 2, 4, 5)
    standard = scale(frames)
    assert standard[0, :, 0, 0].tolist() == [1, 2]
    assert torch.equal(scale.undo(standard), frames)
    assert set(scale.state_dict()) == {"mean", "std", "delta_std"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: np.full_like(p, 7), "channel '0' is constant in the train split"),
        (lambda p: np.broadcast_to(p[:1], p.shape).copy(), "channel '0' never changes"),
    ],
)
def test_a_channel_that_tells_nothing_is_refused(in_memory, noise, spoil, message):
    with pytest.raises(SlimeError, match=message):
        Standardizer.fit([in_memory(spoil(noise))], [TRAIN])


def test_a_channel_that_is_all_masked_is_refused_by_its_name(in_memory, noise):
    valid = np.zeros((2, 4, 5), bool)
    valid[0] = True
    movie = in_memory(noise, mask=(("channel", "y", "x"), valid), channel=["cells", "gfp"])
    with pytest.raises(SlimeError, match="channel 'gfp' has no pixel that counts"):
        Standardizer.fit([movie], [TRAIN])


def test_nan_that_counts_is_refused_with_its_frames(in_memory, noise):
    pixels = noise.astype("float64")
    pixels[11, 1, 2, 3] = np.nan
    with pytest.raises(StoreError, match=r"1 pixels are NaN or infinite, in 1 frames \(11\)"):
        Standardizer.fit([in_memory(pixels)], [TRAIN])


def test_chunks_are_read_once_in_few_blocks_at_a_time(bare, noise, reads, monkeypatch):
    monkeypatch.setattr("slime.frames.PASS_BYTES", 1)
    movie = open_movie(bare(noise[:, 0], chunks=(3, 4, 5)))
    Standardizer.fit([movie], [Split("train", 4, 32)], step=5)
    assert len(reads) == len(set(reads)) == 10  # frames 3 to 32 in chunks of 3


def test_a_chunk_larger_than_the_budget_is_refused_unread(bare, noise, reads):
    movie = open_movie(bare(noise[:, 0], chunks=(40, 4, 5)))
    with pytest.raises(
        SlimeError, match=r"reading 20 frames, a chunk's, takes .* data\.memory_gib"
    ):
        Standardizer.fit([movie], [TRAIN], memory_budget=3000)
    assert reads == []


def test_a_movie_chunked_by_dask_is_not_computed_whole(bare, noise, monkeypatch, reads):
    monkeypatch.setattr("slime.frames.PASS_BYTES", 1)
    path = bare(noise[:, 0], chunks=(3, 4, 5))
    movie = open_movie(path).chunk(time=6)
    check(Standardizer.fit([movie], [TRAIN]), expected(noise[:20, :1], True, 1))
    assert len(set(reads)) <= 8  # frames 0 to 23, of 40


def test_a_dask_scheduler_fits_the_same_scale(bare, noise):
    from distributed import LocalCluster

    movie = open_movie(bare(noise, chunks=(3, 1, 4, 5)), axes="TCYX")
    here = Standardizer.fit([movie], [Split("train", 1, 30)], step=4)
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as cluster,
        scheduler(cluster.scheduler_address) as executor,
    ):
        far = Standardizer.fit([movie], [Split("train", 1, 30)], step=4, executor=executor)
    for name, value in here.state_dict().items():
        assert far.state_dict()[name].tolist() == value.tolist()
