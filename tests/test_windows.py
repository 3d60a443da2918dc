import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slime.errors import SlimeError
from slime.split import Split
from slime.windows import WindowSpec, starts_clear_of, window_starts

SPECS = st.builds(
    WindowSpec,
    n_in=st.integers(1, 5),
    n_out=st.integers(1, 4),
    step=st.integers(1, 4),
    hop=st.integers(1, 5),
)


def frames_of(start, spec):
    return [start + k * spec.step for k in range(spec.n_in + spec.n_out)]


@given(start=st.integers(0, 30), length=st.integers(1, 60), spec=SPECS)
def test_windows_are_all_those_that_lie_inside_the_split(start, length, spec):
    split = Split("val", start, start + length)
    # by trying every frame of the split as a start
    expected = [
        s
        for s in range(split.start, split.stop, spec.hop)
        if all(split.start <= f < split.stop for f in frames_of(s, spec))
    ]
    if not expected:
        with pytest.raises(SlimeError, match=f"has {length} frames, but one window spans"):
            window_starts(split, spec)
    else:
        assert window_starts(split, spec).tolist() == expected


@given(spec=SPECS)
def test_span_counts_a_windows_first_and_last_frame(spec):
    frames = frames_of(0, spec)
    assert spec.span == frames[-1] - frames[0] + 1
    assert spec.n_frames == len(frames)


@given(blank=st.lists(st.booleans(), min_size=24, max_size=24), spec=SPECS)
def test_no_kept_window_holds_a_blank_frame_and_no_other_is_dropped(blank, spec):
    if spec.span > 24:
        return
    starts = window_starts(Split("train", 0, 24), spec)
    kept = starts_clear_of(starts, spec, np.array(blank)).tolist()
    assert kept == [s for s in starts if not any(blank[f] for f in frames_of(s, spec))]


def test_a_blank_frame_between_the_frames_of_a_window_does_not_matter():
    blank = np.arange(9) == 3
    spec = WindowSpec(n_in=2, n_out=1, step=2)
    starts = window_starts(Split("train", 0, 9), spec)
    assert starts_clear_of(starts, spec, blank).tolist() == [0, 2, 4]


@pytest.mark.parametrize("name", ["n_in", "n_out", "step", "hop"])
@pytest.mark.parametrize("value", [0, -1, True])
def test_a_spec_is_made_of_counts(name, value):
    spec = WindowSpec()
    assert (spec.n_in, spec.n_out, spec.step, spec.hop) == (1, 1, 1, 1)
    with pytest.raises(SlimeError, match=rf"window\.{name}={value!r} must be a whole number"):
        dataclasses.replace(spec, **{name: value})
