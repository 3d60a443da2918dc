import numpy as np
import pytest

from benchmarks.feed import SPAN, Feed
from benchmarks.feed_table import goal_rows, summary
from benchmarks.feeds import CONTESTANTS
from benchmarks.measure import check_delivery, corners, missing, run_epoch
from benchmarks.movies import Layout, numbered_noise, write_well, write_zarr
from benchmarks.stream import FeedSettings
from slime.errors import SlimeError
from slime.settings import spec_from_words

N, SIZE = 300, 16


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    layout = Layout("tiles", "tiles", 10, tile=8, shard_frames=50)
    folder = tmp_path_factory.mktemp("stores")

    def fill(start, stop):
        return numbered_noise(start, stop, SIZE)

    store = write_zarr(folder / "movie.zarr", layout, N, SIZE, fill)
    well = folder / "well"
    if not missing(next(c for c in CONTESTANTS if c.key == "well")):
        write_well(well, layout, N, SIZE, fill)
    n_windows = N - SPAN + 1
    return Feed(store, well, layout, N, SIZE, 32, n_windows, budget=N * SIZE**2 * 3)


@pytest.mark.filterwarnings("default")  # peers' own
@pytest.mark.parametrize("contestant", CONTESTANTS, ids=lambda c: c.key)
def test_each_contestant_delivers_each_window_once(contestant, feed, monkeypatch):
    if lacks := missing(contestant):
        pytest.skip(f"{lacks} is not installed")
    for name, value in contestant.environment.items():
        monkeypatch.setenv(name, value)
    own = feed._replace(n_windows=40) if contestant.slow else feed
    epochs = contestant.open(own)
    for _ in range(2):
        assert run_epoch(contestant, own, epochs)["windows"] == own.n_windows


def test_a_lost_a_repeated_and_a_wrong_window_are_found(feed):
    contestant = next(c for c in CONTESTANTS if c.key == "fresh")
    (batch,) = next(contestant.open(feed._replace(batch_size=feed.n_windows))())
    seen = corners((batch,), "windows")
    assert check_delivery(contestant, feed, [seen]) == feed.n_windows
    with pytest.raises(RuntimeError, match="missing or comes twice"):
        check_delivery(contestant, feed, [seen[:, 1:]])
    with pytest.raises(RuntimeError, match="missing or comes twice"):
        check_delivery(contestant, feed, [np.concatenate([seen[:, 1:], seen[:, 1:2]], axis=1)])
    for at in ((0, 7, 2), (1, 7, 2)):  # another frame's first, or last pixel
        other = seen.copy()
        other[at] += 1
        with pytest.raises(RuntimeError, match="frames are missing or wrong"):
            check_delivery(contestant, feed, [other])


def epoch(contestant, number, wall_s):
    facts = {"windows": 100, "cpu_s": 0.5, "peak_bytes": 2e6, "read_bytes": 30, "stored_bytes": 40}
    place = {"layout": "single", "contestant": contestant, "round": number}
    return {**place, "wall_s": wall_s, "load_s": 0.1, **facts}


def test_ratios_are_taken_within_a_round():
    # rates 100, 50, 20 against 50, 100, 20: ratios 2, 0.5 and 1
    rows = [epoch("slime", i, s) for i, s in enumerate((1, 2, 5))]
    rows += [epoch("fresh", i, s) for i, s in enumerate((2, 1, 5))]
    rows += [epoch("random", 1, 40)]  # one round only: 50 / 2.5
    table = {row["contestant"]: row for row in summary(rows)}
    assert table["slime"]["windows_per_s"] == 50
    assert table["slime"]["ratio"] == 1
    assert table["slime"]["cpu_s_per_1000"] == 5
    assert table["slime"]["read_over_stored"] == 0.75
    goals = {row["goal"]: row for row in goal_rows(rows)}
    assert goals["streaming / in memory, fresh batches"]["met"]
    assert goals["resident / in memory, batches reused"]["value"] is None
    assert not goals["resident / in memory, batches reused"]["met"]


def test_the_slower_or_the_faster_of_two_is_what_a_goal_is_measured_by():
    rows = [epoch("slime-zarr", 0, 1), epoch("zarr", 0, 2), epoch("fresh", 0, 4)]
    rows += [epoch("slime", 0, 1), epoch("xbatcher", 0, 10), epoch("random", 0, 30)]
    goals = {row["goal"]: row["value"] for row in goal_rows(rows)}
    assert goals["streaming by zarr-python / slower of its decode and fresh"] == 4
    assert goals["streaming / xbatcher or random reads"] == 10


def test_a_setting_that_is_a_list_is_read_from_a_word():
    read = spec_from_words(FeedSettings, ["contestants=[slime, fresh]", "rounds=3"])
    assert (read.contestants, read.rounds) == (["slime", "fresh"], 3)
    with pytest.raises(SlimeError, match=r"'frsh' is none of .* did you mean fresh"):
        spec_from_words(FeedSettings, ["contestants=[frsh]"])
