"""Tables over runs, from tallies kept on disk, against the functions that they are made of."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_rel
from series import kept, noisy_frames

from slime.contest import CONTESTS, RESULTS, contests, results
from slime.errors import SlimeError
from slime.held import hold
from slime.score import Tally, skill
from slime.seeds import combined, difference
from slime.statistic import statistic
from slime.stretched import holm
from slime.tallies import save_tallies

QUICK = {"n_draws": 20}


def scaled(tally, factor):
    """The same windows, with errors of another size."""
    sums = tally.sums.copy()
    sums[:, 1] *= factor
    sums[:, 2] *= factor
    sums[:, 3] *= factor**2
    return Tally(tally.movie, tally.start, sums)


@pytest.fixture
def runs(tmp_path):
    """Writes runs `NAME-SEED` of two nets and seeds 0 to 2, over `n_movies`; gives the groups."""

    def write(n_movies=1, held_out="time", n_windows=60):
        rng = np.random.default_rng(0)
        drawn = [noisy_frames(n_windows, rng) for _ in range(n_movies)]
        movie = np.repeat(np.arange(n_movies), n_windows)
        start = np.tile(np.arange(n_windows), n_movies)
        still = Tally(movie, start, np.concatenate([t.sums for t in drawn]))
        groups = {}
        for name, factor in (("cnn", 0.6), ("unet", 0.7)):
            for seed in range(3):
                wobble = factor * (1 + 0.02 * rng.normal(size=n_movies))[movie, None, None]
                of = {name: scaled(still, wobble), "persistence": still}
                of["ridge"] = scaled(still, 0.8 if name == "cnn" else 0.75)
                run = tmp_path / f"{name}-{seed}"
                run.mkdir(exist_ok=True)
                names = {i: f"dish {i}" for i in range(n_movies)}
                about = replace(
                    kept(str(run), model=name, seed=seed, held_out=held_out),
                    of=of,
                    movies=names,
                    experiments=names,
                    frames={i: f"{i}" for i in names},
                )
                save_tallies(about, run)
                groups.setdefault(name, []).append(run)
        return groups

    return write


def test_results_hold_every_model_movie_channel_lead_and_score(runs):
    held = hold(runs(2))
    table = results(held, ["horizon_0.8", "skill"], **QUICK)
    assert list(table.columns) == list(RESULTS)
    assert set(table.model) == {"cnn", "unet", "persistence", "ridge", "ridge (unet)"}
    assert set(table.movie) == {"dish 0", "dish 1", "all"}
    assert set(table.channel) == {"cells", "camp", "all"}
    assert not table.duplicated(["model", "movie", "channel", "lead", "score"]).any()
    horizons = table[table.score == "horizon_0.8"]
    assert set(horizons.lead) == {0}
    seeds = table.groupby("model").n_seeds.first()
    assert seeds.to_dict() == {
        **{"cnn": 3, "unet": 3, "persistence": 1, "ridge": 1, "ridge (unet)": 1}
    }
    own = table[(table.model == "persistence") & (table.score == "skill")]
    assert (own.value == 0).all()
    assert (own.note == "against itself").all()


def test_a_row_is_the_combined_interval_with_the_range_of_seeds(runs):
    held = hold(runs(2))
    table = results(held, ["skill"], **QUICK)
    row = table.query("model == 'cnn' and movie == 'all' and channel == 'camp' and lead == 2")
    found = combined(held.models["cnn"], statistic("skill"), [held.still], **QUICK)
    assert row.value.item() == found.value[1, 1]
    assert (row.low.item(), row.high.item()) == (found.low[1, 1], found.high[1, 1])
    each = [skill(t.total(), held.still.total())[1, 1] for t in held.models["cnn"]]
    assert (row.least.item(), row.most.item()) == pytest.approx((min(each), max(each)))


def test_contests_are_differences_with_holms_correction_over_rivals(runs):
    held = hold(runs())
    table = contests(held, "cnn", scores=["skill", "horizon_0.8"], **QUICK)
    assert list(table.columns) == list(CONTESTS)
    assert set(table.rival) == {"unet", "persistence", "ridge", "ridge (unet)"}
    assert set(zip(table.score, table.lead, strict=True)) == {("skill", 1), ("horizon_0.8", 0)}
    rows = table[table.score == "skill"]
    assert rows.p_holm.tolist() == holm(rows.p.tolist())
    sides = held.models["cnn"], held.models["unet"]
    found = difference(*sides, statistic("skill"), [held.still], **QUICK)
    row = rows[rows.rival == "unet"]
    assert row.value.item() == found.value[0, -1]
    assert (row.low.item(), row.p.item()) == (found.low[0, -1], found.p[0, -1])
    only = contests(held, "cnn", ["unet"], ["skill"], leads=[1, 2], **QUICK)
    assert only.lead.tolist() == [1, 2]
    assert only.p_holm.tolist() == only.p.tolist()


def test_three_held_out_movies_are_all_shown_without_a_p_value(runs):
    table = contests(hold(runs(3, "movie")), "cnn", ["unet"], ["skill"], **QUICK)
    assert table.movie.tolist() == ["dish 0", "dish 1", "dish 2", "all", "mean"]
    assert table.p.isna().all()
    assert table.p_holm.isna().all()
    mean = table.iloc[-1]
    assert mean.note == "3 held-out experiments, 6 are needed for an interval: all shown"
    assert mean.value == pytest.approx(table.value[:3].mean())


def test_six_held_out_movies_have_a_p_value_over_movies_and_none_over_times(runs):
    held = hold(runs(6, "movie", n_windows=30))
    one = replace(held, models={name: tallies[:1] for name, tallies in held.models.items()})
    table = contests(one, "cnn", ["unet"], ["skill"], **QUICK)
    assert table.p[:-1].isna().all()
    by_movie = [
        [skill(t.of_movie(i).total(), held.still.of_movie(i).total(), pool=True)[0, 0] for t in of]
        for of in (one.models["cnn"], one.models["unet"])
        for i in range(6)
    ]
    known = ttest_rel(np.ravel(by_movie[:6]), np.ravel(by_movie[6:]))
    assert table.p.iloc[-1] == pytest.approx(known.pvalue)


def test_a_seed_given_twice_and_mixed_nets_are_refused(runs):
    groups = runs()
    with pytest.raises(SlimeError, match=r"cnn: .*cnn-0 and .*cnn-0 are of one seed"):
        hold({"cnn": [groups["cnn"][0]] * 2})
    mixed = [groups["cnn"][0], groups["unet"][1]]
    with pytest.raises(SlimeError, match="its runs are of different nets, cnn, unet"):
        hold({"net": mixed})
    with pytest.raises(SlimeError, match=r"there is no model unit.*did you mean unet"):
        contests(hold(groups), "cnn", ["unit"])
