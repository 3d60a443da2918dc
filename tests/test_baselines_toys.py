"""Toy nets as forecasts: rows by pixels that name themselves, fits by known laws."""

import numpy as np
import pytest
import torch
import xarray as xr
from einops import rearrange
from scipy.ndimage import gaussian_filter
from torch import nn

from baselines.toy_windows import BLOCK, Windows, block_rows, patches, pixel_rows, read_windows
from baselines.toys import TOYS, OnBlocks, counted_error, empty_net, on_pixels, toy_fits
from slime.errors import SlimeError
from slime.scale import Standardizer
from slime.split import Split
from slime.windows import WindowSpec

PLAIN = Standardizer(torch.zeros(1), torch.ones(1), torch.ones(1))


def as_movie(frames: np.ndarray, **coords) -> xr.DataArray:
    """A movie in memory of frames `t c y x`."""
    return xr.DataArray(
        frames.astype(np.float32),
        dims=("time", "channel", "y", "x"),
        coords={"channel": [f"c{i}" for i in range(frames.shape[1])], **coords},
        name="movie",
        attrs={"frame_interval_s": 1.0, "pixel_um": None, "experiment": "movie"},
    )


def numbered(c: int, y: int, x: int, *, is_cut=(False, False)) -> Windows:
    """One window: each pixel of the frame is its own number, and so is each change."""
    frames = torch.arange(float(c * y * x)).reshape(1, c, y, x)
    return Windows(frames, frames.clone(), torch.ones(1, c, y, x, dtype=torch.bool), is_cut)


def fit(toy, movie, *, n_in=1, val=None, seed=0):
    train = [movie], [Split("train", 0, movie.sizes["time"])]
    scale = Standardizer.fit(*train)
    return toy_fits(train, val, WindowSpec(n_in), scale, seed=seed)[toy]()


def decaying(n=40, c=1, y=9, x=7, rate=0.6, seed=0, smooth=0.0):
    """Each frame is `rate` times the last, and every eighth begins anew from noise, as a blank."""
    frames = np.random.default_rng(seed).normal(size=(n, c, y, x))
    if smooth:
        frames = gaussian_filter(frames, (0, 0, smooth, smooth)) * 3 * smooth
    for t in range(1, n):
        if t % 8:
            frames[t] = rate * frames[t - 1]
    return as_movie(frames, blank=("time", np.arange(n) % 8 == 7))


# --- rows ---


@pytest.mark.parametrize("k", [1, 3])
def test_the_middle_of_a_pixels_surroundings_is_the_pixel_that_changes(k):
    x, y = pixel_rows(numbered(2, 5, 4), k, n=100, seed=0)
    middle = rearrange(x, "n (f k) -> n f k", k=k * k)[:, :, k * k // 2]
    assert torch.equal(middle, y[:, 0])
    assert sorted(y[:, 0, 0].tolist()) == list(range(20))
    if k == 3:  # beyond the corner the corner goes on
        corner = x[y[:, 0, 0] == 0][0, :9]
        assert corner.tolist() == [0, 0, 1, 0, 0, 1, 4, 4, 5]


def test_pixels_that_do_not_count_or_lack_neighbours_are_left_out():
    windows = numbered(1, 5, 4, is_cut=(True, False))
    windows.counts[0, 0, 2, 1] = False
    rows = pixel_rows(windows, 3, n=100, seed=0)
    assert sorted(rows.y[:, 0, 0].tolist()) == [4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15]
    assert len(pixel_rows(windows, 1, n=100, seed=0).x) == 19


def test_a_pixel_that_counts_in_one_channel_keeps_its_mask():
    windows = numbered(2, 2, 2)
    windows.counts[0, 1] = False
    targets = pixel_rows(windows, 1, n=100, seed=0).y
    assert targets[:, 1].tolist() == [[1, 0]] * 4


@pytest.mark.parametrize(("y", "x"), [(16, 16), (11, 21), (4, 5)])
def test_the_middle_of_a_patch_is_the_block_that_changes(y, x):
    windows = numbered(2, y, x)
    rows = block_rows(windows)
    middle = rearrange(rows.x[..., 4:12, 4:12], "n c y x -> n (c y x)")
    values, counts = rows.y.unbind(dim=1)
    assert torch.equal(middle * counts, values)
    assert sorted(values[counts > 0].tolist()) == list(range(2 * y * x))


def test_patches_of_a_cut_stay_inside_it():
    rows = block_rows(numbered(1, 32, 32, is_cut=(True, True)))
    assert rows.x.shape == (9, 1, 16, 16)
    assert torch.equal(rows.x[:, 0, 4:12, 4:12].flatten(1), rows.y[:, 0])
    assert rows.y[0, 0, 0] == 4 * 32 + 4
    assert rows.y[:, 1].all()


def test_windows_are_the_frames_given_and_their_change():
    movie = as_movie(np.arange(12.0)[:, None, None, None] ** 2 * np.ones((1, 2, 3, 4)))
    scale = Standardizer(torch.zeros(2), torch.ones(2), torch.full((2,), 2.0))
    of = read_windows([movie], [Split("train", 0, 12)], WindowSpec(2), scale, n_windows=99)
    newest = of.frames[:, 2:].mean(dim=(1, 2, 3))
    start = newest.sqrt()
    assert sorted(start.tolist()) == list(range(1, 11))
    assert torch.allclose(of.change[:, 0, 0, 0], (2 * start + 1) / 2)  # (s + 1)^2 - s^2, over 2
    assert of.is_cut == (False, False)


def test_few_windows_of_many_and_large_frames_are_read():
    movie = as_movie(np.random.default_rng(0).normal(size=(101, 1, 40, 33)))
    of = read_windows([movie], [Split("train", 0, 101)], WindowSpec(1), PLAIN, n_windows=10)
    assert of.frames.shape == (10, 1, 32, 32)
    assert of.is_cut == (True, True)


def test_frames_that_are_not_finite_are_refused():
    frames = np.ones((6, 1, 4, 4))
    frames[3, 0, 1, 1] = np.inf
    with pytest.raises((SlimeError, ValueError), match="finite"):
        read_windows([as_movie(frames)], [Split("train", 0, 6)], WindowSpec(1), PLAIN, n_windows=9)


# --- nets on whole frames ---


@pytest.mark.parametrize(("toy", "k"), [("toy_linear", 1), ("toy_mlp", 3)])
def test_convolutions_say_what_the_net_says_of_each_pixel(toy, k):
    net = empty_net(toy, 4, 2).eval()
    frames = torch.randn(1, 2, 2, 5, 4)
    windows = Windows(
        frames.flatten(1, 2), torch.zeros(1, 2, 5, 4), torch.ones(1, 2, 5, 4) > 0, (False, False)
    )
    windows.change[0, 0] = torch.arange(20.0).reshape(5, 4)
    x, y = pixel_rows(windows, k, n=99, seed=0)
    said = on_pixels(net, 4, k)(frames)
    at = y[:, 0, 0].long()
    assert torch.allclose(said.flatten(2)[0].T[at], net(x), atol=1e-6)


@pytest.mark.parametrize(("y", "x"), [(16, 24), (11, 21), (3, 5)])
def test_blocks_come_back_in_their_places(y, x):
    middle = nn.Sequential(nn.Unflatten(0, (-1, 1)), nn.Flatten(0, 1))  # passes patches on
    frames = torch.randn(2, 1, 3, y, x)

    class Middle(nn.Module):
        def forward(self, patch):
            return middle(patch)[:, :, 4:12, 4:12].flatten(1)

    assert torch.equal(OnBlocks(Middle())(frames), frames[:, 0])
    assert patches(frames[:, 0]).shape[0] == 2 * -(-y // BLOCK) * -(-x // BLOCK)


def test_only_values_that_count_cost():
    outputs = torch.tensor([[1.0, 5.0], [0.0, 0.0]])
    targets = torch.tensor([[[0.0, 1.0], [1.0, 0.0]], [[2.0, 2.0], [1.0, 1.0]]])
    assert counted_error(outputs, targets).tolist() == [0.5, 4.0]


# --- fits ---


def test_the_linear_law_of_a_pixel_is_found():
    stepper = fit("toy_linear", decaying())
    past = torch.randn(3, 2, 1, 9, 7)
    assert torch.allclose(stepper(past), 0.6 * past[:, -1], atol=0.02)


@pytest.mark.parametrize(
    ("toy", "least"), [("toy_linear", 0.99), ("toy_mlp", 0.9), ("toy_cnn", 0.4)]
)
def test_each_beats_standing_still_on_another_movie(toy, least):
    stepper = fit(toy, decaying(100, y=17, x=16, smooth=3.0))
    past = torch.from_numpy(decaying(9, y=17, x=16, seed=5, smooth=3.0).values[:1, None])
    error = (stepper(past) - 0.6 * past[:, -1]).square().mean()
    assert 1 - error / (0.4 * past).square().mean() > least


@pytest.mark.parametrize("toy", TOYS)
def test_any_shape_channels_and_frames_given(toy):
    movie = decaying(16, c=3, y=5, x=34)
    stepper = fit(toy, movie, n_in=2)
    assert stepper.n_in == 2
    assert stepper.for_movie(0)(torch.randn(2, 4, 3, 5, 34)).shape == (2, 3, 5, 34)
    assert not any(p.requires_grad for p in stepper.parameters())


@pytest.mark.parametrize("toy", ["toy_linear", "toy_mlp"])
def test_masked_pixels_of_the_frame_to_predict_are_not_learned_from(toy):
    frames = decaying(24, y=9, x=18)
    mask = np.ones((9, 18), bool)
    mask[:, 17:] = False
    spoiled = frames.copy()
    spoiled.values[..., 17:] = 0
    broken = spoiled.copy()
    broken.values[::2, ..., 17:] += 1e-3  # another change there, hardly another input
    kept = spoiled.assign_coords(mask=(("y", "x"), mask))
    other = broken.assign_coords(mask=(("y", "x"), mask))
    past = torch.from_numpy(frames.values[None, :1])
    a, b = fit(toy, kept)(past), fit(toy, other)(past)
    assert torch.allclose(a[..., :8], b[..., :8], atol=5e-3)


@pytest.mark.parametrize("toy", TOYS)
def test_a_seed_repeats_a_fit_and_leaves_the_random_state(toy):
    movie, state = decaying(10), torch.get_rng_state()
    past = torch.randn(1, 1, 1, 9, 7, generator=torch.Generator().manual_seed(3))
    one, again, other = (fit(toy, movie, seed=s)(past) for s in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_weights_kept_are_those_of_least_validation_error():
    movie = decaying(24)
    still = as_movie(np.repeat(np.random.default_rng(1).normal(size=(1, 1, 9, 7)), 12, axis=0))
    val = [still], [Split("val", 0, 12)]
    past = torch.from_numpy(still.values[None, :1])

    def change(stepper):
        return float((stepper(past) - past[:, -1]).square().mean())

    # a movie that stands still is best forecast by the first epochs, when little is learned
    assert change(fit("toy_mlp", movie, val=val)) < change(fit("toy_mlp", movie))
