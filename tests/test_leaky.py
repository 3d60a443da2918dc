import numpy as np
import pytest
import torch
import xarray as xr

from slime.errors import SlimeError
from slime.fit import evaluate, persistence
from slime.nets import build_net
from slime.optim import OptimSpec
from slime.scale import Standardizer
from slime.split import Split
from slime.stepper import Stepper
from slime.stream import WindowStream
from slime.studies.leaky import ChosenWindows, deal_windows, joined, share_seen
from slime.variants import train_on
from slime.windows import WindowSpec, window_starts

SPEC = WindowSpec(n_in=2, n_out=1, step=2)  # spans 5 frames


def movies():
    draw = np.random.default_rng(0)
    return [
        xr.DataArray(draw.normal(size=(n, 1, 4, 5)), dims=("time", "channel", "y", "x"))
        for n in (12, 15)
    ]


SPLITS = [Split("train", 1, 12, gap=0), Split("train", 0, 15)]


def test_every_window_is_dealt_once_in_the_shares_asked_for():
    dealt = deal_windows(movies(), SPLITS, SPEC, {"train": 0.75, "val": 0.25}, seed=1)
    for m, split in enumerate(SPLITS):
        both = np.concatenate([dealt["train"][m], dealt["val"][m]])
        assert sorted(both.tolist()) == window_starts(split, SPEC).tolist()
    # 7 and 11 windows, of which a quarter is 4.5
    assert sum(map(len, dealt["val"])) == 4
    again = deal_windows(movies(), SPLITS, SPEC, {"train": 0.75, "val": 0.25}, seed=2)
    assert any(a.tolist() != b.tolist() for a, b in zip(dealt["val"], again["val"], strict=True))


def test_the_share_seen_counts_frames_to_predict_in_windows_trained_on():
    # trained: frames 0, 2, 4 and 10, 12, 14; asked: 3 + 4 = 7, 6 + 4 = 10, and nothing of movie 2
    trained, asked = [np.array([0, 10]), np.array([0])], [np.array([3, 6]), np.array([], int)]
    assert share_seen(trained, asked, SPEC) == 0.5


def test_chosen_windows_in_time_order_are_those_of_a_stream():
    held = [window_starts(split, SPEC) for split in SPLITS]
    chosen = ChosenWindows(movies(), SPLITS, SPEC, held, batch_size=5)
    stream = WindowStream(movies(), [Split("a", 1, 12), SPLITS[1]], SPEC, batch_size=5)
    assert chosen.n_windows == stream.n_windows == 18
    assert len(chosen) == len(list(chosen)) == 4
    ours, theirs = evaluate(persistence, chosen), evaluate(persistence, stream)
    assert ours.movie.tolist() == theirs.movie.tolist()
    assert ours.start.tolist() == theirs.start.tolist()
    np.testing.assert_array_equal(ours.sums, theirs.sums)


def test_the_order_of_chosen_windows_depends_on_seed_and_epoch_alone():
    held = [np.array([1, 3, 6]), np.array([0, 2, 4, 9])]

    def order(stream):
        return torch.cat([batch.start + 100 * batch.movie for batch in stream]).tolist()

    first = ChosenWindows(movies(), SPLITS, SPEC, held, batch_size=3, seed=5)
    epochs = [order(first), order(first)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == [1, 3, 6, 100, 102, 104, 109]
    assert epochs[0] != epochs[1]
    later = ChosenWindows(movies(), SPLITS, SPEC, held, batch_size=3, seed=5)
    later.load_state_dict({"epoch": 0, "batch": 3})
    assert order(later) == epochs[1]


def test_what_cannot_be_dealt_or_chosen_is_refused():
    with pytest.raises(SlimeError, match=r"18 windows are too few for val=0\.01"):
        deal_windows(movies(), SPLITS, SPEC, {"train": 0.99, "val": 0.01}, seed=0)
    with pytest.raises(SlimeError, match="no window starts at frame 11"):
        ChosenWindows(movies(), SPLITS, SPEC, [np.array([11]), np.array([0])], batch_size=2)
    with pytest.raises(SlimeError, match="no window is chosen"):
        ChosenWindows(movies(), SPLITS, SPEC, [np.array([], int)] * 2, batch_size=2)
    with pytest.raises(SlimeError, match="2 movies and 1 splits"):
        ChosenWindows(movies(), SPLITS[:1], SPEC, [np.array([1])] * 2, batch_size=2)
    masked = [m.assign_coords(mask=(("y", "x"), np.ones((4, 5), bool))) for m in movies()]
    with pytest.raises(SlimeError, match="have no mask"):
        ChosenWindows(masked, SPLITS, SPEC, [np.array([1])] * 2, batch_size=2)


def test_joined_splits_hold_the_gap_between():
    cut = {"train": Split("train", 0, 7, gap=2), "val": Split("val", 9, 12, gap=2)}
    both = joined(cut, "train", "val")
    assert (both.start, both.stop) == (0, 12)
    with pytest.raises(SlimeError, match="'train' does not follow 'val'"):
        joined(cut, "val", "train")


def test_a_net_is_trained_on_chosen_windows_as_on_a_stream():
    films = [movie.assign_coords(channel=["light"]) for movie in movies()]
    held = [window_starts(split, SPEC) for split in SPLITS]
    scale = Standardizer.fit(films, [Split("a", 1, 12), SPLITS[1]])
    batches = {
        "chosen": ChosenWindows(films, SPLITS, SPEC, held, batch_size=5),
        "streamed": WindowStream(films, [Split("a", 1, 12), SPLITS[1]], SPEC, batch_size=5),
    }
    found = {}
    for name, train in batches.items():
        torch.manual_seed(0)
        net = build_net("patch_mlp", n_in=2, channels=1, width=4, depth=2)
        stepper = Stepper(scale, net, n_in=2)
        found[name] = train_on(train, batches["streamed"], stepper, OptimSpec(epochs=2)).records
    numbers = ["train_loss", "val_loss", "step"]
    assert found["chosen"][numbers].equals(found["streamed"][numbers])
