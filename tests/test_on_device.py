import numpy as np
import pytest
import torch

from slime.gather import Copies, Frames, Held
from slime.on_device import DeviceFrames, fits_on
from slime.plan import Windows
from slime.reuse import Ring
from slime.windows import WindowSpec

SPEC = WindowSpec(n_in=2, n_out=3, step=2)
CPU = torch.device("cpu")


def two_movies(dtype, masked):
    draw = np.random.default_rng(0)
    held = []
    for n, first in ((30, 4), (25, 0)):
        pixels = draw.integers(0, 200, (n, 2, 7, 9)).astype(dtype)
        mask = draw.random(pixels.shape) < 0.7 if masked and first else None
        held.append(Frames(first, pixels, mask, corner=(1, 2)))
    return held


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "f4", "f8", ">u2", "bool"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [(7, 9), (3, 4)])
def test_gathering_on_a_device_gives_what_the_cpu_gives(dtype, masked, size):
    held = two_movies(dtype, masked)
    draw = np.random.default_rng(1)
    movie = draw.integers(0, 2, 12)
    start = np.array(
        [held[m].first + draw.integers(0, len(held[m].pixels) - SPEC.span + 1) for m in movie]
    )
    corner = np.array([1, 2]) + draw.integers(0, (8 - size[0], 10 - size[1]), (12, 2))
    pixels, counts = DeviceFrames(held, CPU).gathered(Windows(movie, start, corner), SPEC, size)
    assert pixels.dtype == torch.float32
    for k in range(12):
        window = torch.empty((5, 2, *size))
        mask = torch.empty((3, 2, *size), dtype=torch.bool)
        copies = Copies()
        one = Held((held[movie[k]],))
        one.copy_window(int(start[k]), 2, corner[k].tolist(), window, mask, copies)
        copies.make()
        np.testing.assert_array_equal(pixels[k], window)
        if masked:
            np.testing.assert_array_equal(counts[k], mask)
    assert (counts is None) == (not masked)


def test_a_batch_on_a_device_needs_nothing_from_it():
    """On `meta` there are no values: a step that waited for one would fail."""
    device = torch.device("meta")
    frames = DeviceFrames(two_movies("u2", True), device)
    index = np.array([0, 1, 1])
    pixels, counts = frames.gathered(
        Windows(index, index + 4, np.tile([1, 2], (3, 1))), SPEC, (7, 9)
    )
    assert (pixels.device, pixels.shape) == (device, (3, 5, 2, 7, 9))
    assert counts.shape == (3, 3, 2, 7, 9)


def test_a_cpu_holds_frames_already():
    assert not fits_on(CPU, 1)


def test_a_window_across_parts_is_put_together():
    pixels = np.arange(40.0, dtype="f4").reshape(40, 1, 1, 1)
    mask = pixels % 3 == 0
    parts = [Frames(a, pixels[a:b], mask[a:b]) for a, b in ((0, 7), (7, 8), (8, 40))]
    for step in (1, 2, 3, 8):
        for start in range(40 - 4 * step):
            window = torch.empty(5, 1, 1, 1)
            counts = torch.empty(2, 1, 1, 1, dtype=torch.bool)
            copies = Copies()
            Held(tuple(parts)).copy_window(start, step, (0, 0), window, counts, copies)
            copies.make()
            expected = [start + k * step for k in range(5)]
            assert window.ravel().tolist() == expected
            assert counts.ravel().tolist() == [f % 3 == 0 for f in expected[3:]]


def test_a_ring_gives_memory_again_only_when_nobody_holds_it():
    ring = Ring(CPU)
    array, first = ring.take((2, 3), torch.float32)
    del array
    _, second = ring.take((2, 3), torch.float32)
    assert second.data_ptr() != first.data_ptr()
    place = first.data_ptr()
    del first
    _, third = ring.take((2, 3), torch.float32)
    assert third.data_ptr() == place
    _, other = ring.take((2, 3), torch.bool)
    assert other.dtype == torch.bool


def test_a_smaller_batch_takes_the_memory_of_a_larger():
    ring = Ring(CPU)
    array, first = ring.take((4, 3), torch.float32)
    address = first.data_ptr()
    del array, first
    _, small = ring.take((2, 3), torch.float32)
    assert (small.shape, small.data_ptr()) == ((2, 3), address)
    _, other = ring.take((2, 3), torch.float32)  # the first is held: its memory is not free
    assert other.data_ptr() != address


def test_gathering_leaves_torch_its_threads():
    before = torch.get_num_threads()
    copies, target = Copies(), torch.zeros(3)
    copies.add(target, torch.arange(3))
    torch.set_num_threads(2)
    try:
        copies.make()
        assert torch.get_num_threads() == 2
        copies.add(target, torch.empty(3, device="meta"))  # holds nothing that could be copied
        with pytest.raises(NotImplementedError):
            copies.make()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert target.tolist() == [0, 1, 2]
