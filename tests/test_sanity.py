"""The controls of a run: right on a right one, and each wrong where the run is made wrong."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from scripts_by_name import script

from slime.arguments import load_config
from slime.checkpoint import shape_of
from slime.errors import SlimeError
from slime.fit import evaluate, persistence
from slime.prepare import prepare
from slime.probes import probe_windows
from slime.sanity import Setting, before_training, outcome_text, write_controls
from slime.sanity.cheap import answer_controls, cheap_controls, future_apart, overlap_controls
from slime.sanity.trained import backwards, features, order_controls, trained_controls
from slime.sanity.trials import overfit_control, shuffle_controls, skill_over_blend, targets_of
from slime.scale import Standardizer
from slime.split import Split
from slime.stepper import Stepper
from slime.stream import Batch, WindowStream
from slime.windows import WindowSpec

CPU = torch.device("cpu")
SMALL = ("net.width=6", "net.depth=2", "window.n_in=2", "optim.epochs=1", "landscape.points=0")
QUICK = (*SMALL, "score.leads=2", "score.draws=20", "score.observables=false")


def waves(n=60, y=12, x=14):
    """A wave that crosses the frame under a little noise."""
    t, _, column = np.mgrid[:n, :y, :x]
    noise = np.random.default_rng(0).normal(0, 20, (n, y, x))
    return (1000 + 400 * np.sin(2 * np.pi * (column / 7 - t / 9)) + noise).astype("uint16")


@pytest.fixture
def setting_of(bare):
    def setting(*words, frames=None):
        store = bare(waves() if frames is None else frames)
        config, _ = load_config([str(store), *SMALL, *words])
        prepared = prepare(config.data, config.window, seed=0)
        movies, splits = prepared.of("train")
        train = WindowStream(movies, splits, config.window, batch_size=8)
        scale = Standardizer.fit(movies, splits, step=config.window.step)
        return Setting(config, prepared, shape_of(config.window, train), scale, CPU)

    return setting


def failed(verdicts):
    return {verdict.name for verdict in verdicts if not verdict.passed}


@pytest.mark.parametrize("head", ["direct", "residual", "gated"])
def test_a_right_run_passes_and_leaves_no_trace(setting_of, head):
    setting = setting_of(f"net.head={head}", "window.n_out=2", "net.dropout=0.3")
    before = torch.get_rng_state()
    verdicts = before_training(setting)
    assert failed(verdicts) == set()
    assert len(verdicts) == 12
    assert torch.equal(torch.get_rng_state(), before)
    silent = replace(setting.config, sanity=False)
    assert before_training(replace(setting, config=silent)) == []


@pytest.mark.parametrize("kind", ["convgru", "fno", "frame_mlp", "patch_mlp"])
def test_other_nets_pass_with_one_frame_given(setting_of, kind):
    setting = setting_of(f"net.kind={kind}", "net.depth=3", "net.modes=2", "window.n_in=1")
    assert failed(cheap_controls(setting)) == set()


def test_pixels_under_the_mask_count_in_no_control(setting_of):
    setting = setting_of()
    mask = np.ones((12, 14), bool)
    mask[:, :4] = False
    frames = waves().astype("float32")
    frames[:, :, :4] = np.random.default_rng(1).normal(3000, 500, frames[:, :, :4].shape)
    masked = xr.DataArray(
        frames[:, None], dims=("time", "channel", "y", "x"), name="a", attrs={"experiment": "a"}
    ).assign_coords(mask=(("y", "x"), mask))
    movies, splits = [masked], [next(iter(setting.prepared.splits))]
    scale = Standardizer.fit(movies, [splits[0]["train"]])
    prepared = replace(setting.prepared, movies=movies)
    assert failed(cheap_controls(replace(setting, prepared=prepared, scale=scale))) == set()


def wrong_forward(kind):
    def forward(self, past):
        output = self.net(self.scale(past))
        if kind == "an older frame":
            return past[:, 0] + output * self.scale.delta_std[:, None, None]
        size = self.scale.std if kind == "another unit" else self.scale.delta_std
        return past[:, -1] + 9 * output * size[:, None, None]

    return forward


@pytest.mark.parametrize(
    ("kind", "found"), [("an older frame", "silent_net"), ("another unit", "initial_loss")]
)
def test_a_head_that_is_wrong_does_not_begin_at_its_closed_form(
    setting_of, monkeypatch, kind, found
):
    setting = setting_of()
    monkeypatch.setattr(Stepper, "forward", wrong_forward(kind))
    assert found in failed(cheap_controls(setting))


def test_windows_that_are_given_their_future_are_found():
    frames = torch.arange(5.0)[:, None, None].expand(5, 3, 4)
    past, future = frames[None, :3, None], frames[None, 3:, None]
    zero = torch.zeros(1, dtype=torch.int64)
    assert future_apart(Batch(past, future, None, zero, zero)).passed
    leak = torch.cat([past[:, 1:], future[:, :1]], dim=1)
    assert not future_apart(Batch(leak, future, None, zero, zero)).passed


def test_splits_that_overlap_are_found_by_pixels_and_by_number(setting_of):
    setting = setting_of()
    (cut,) = setting.prepared.splits
    assert failed(overlap_controls(setting)) == set()
    back = replace(cut["val"], start=cut["train"].stop - 5)
    wrong = replace(setting.prepared, splits=[{**cut, "val": back}])
    verdicts = overlap_controls(replace(setting, prepared=wrong))
    assert failed(verdicts) == {"overlap", "windows_apart"}
    # 5 frames of train, 5 of val with them: the larger share is val's
    assert verdicts[0].figure == pytest.approx(5 / len(back))


def test_frames_shown_again_in_another_split_are_found_by_pixels_alone(setting_of):
    frames = waves()
    frames[-9:-5] = frames[3:7]
    assert failed(overlap_controls(setting_of(frames=frames))) == {"overlap"}


def test_an_evaluation_that_reads_the_truth_a_frame_late_is_found(setting_of, monkeypatch):
    setting = setting_of()
    assert failed(answer_controls(setting)) == set()

    def late(stepper, batches):
        moved = [b._replace(future=torch.roll(b.future, 1, dims=1)) for b in batches]
        return evaluate(stepper, moved)

    monkeypatch.setattr("slime.sanity.cheap.evaluate", late)
    assert "right_answer" in failed(answer_controls(setting))


def movie_of(values, name="m", blank=None):
    frames = np.broadcast_to(np.asarray(values, float)[:, None, None, None], (len(values), 1, 6, 8))
    film = xr.DataArray(frames.astype("float32"), dims=("time", "channel", "y", "x"), name=name)
    return film if blank is None else film.assign_coords(blank=("time", blank))


def test_probes_lie_all_over_the_split_and_are_cut_from_the_middle():
    spec = WindowSpec(n_in=2, n_out=1, hop=5)
    choices = {"n_each": 2, "side": 4, "memory_budget": 1 << 20, "device": CPU}
    film, split = movie_of(range(100)), Split("train", 10, 70)
    probe = probe_windows([film], [split], spec, n_places=3, **choices)
    # windows start at 10 to 67; runs of 2 begin at the first, the middle and the last but one
    assert probe.start.tolist() == [10, 11, 38, 39, 66, 67]
    assert probe.movie.tolist() == [0, 0, 1, 1, 2, 2]
    assert probe.past[:, 1, 0, 0, 0].tolist() == [11, 12, 39, 40, 67, 68]
    assert probe.past.shape[-2:] == (4, 4)
    blank = np.isin(np.arange(100), [11, 12])
    holed = probe_windows([movie_of(range(100), blank=blank)], [split], spec, n_places=1, **choices)
    assert holed.start.tolist() == [13, 14]
    both = probe_windows(
        [film, movie_of([1, 2], "short")],
        [split, Split("train", 0, 2)],
        spec,
        n_places=2,
        **choices,
    )
    assert both.start.tolist() == [10, 11, 66, 67]
    with pytest.raises(SlimeError, match="no window fits"):
        probe_windows([film], [Split("train", 0, 2)], spec, n_places=2, **choices)


def test_no_blend_of_the_last_frame_and_the_mean_has_skill_over_it():
    draw = torch.Generator().manual_seed(0)
    last, fresh = torch.randn(2, 40, 1, 3, 4, generator=draw)
    targets = 5 + 0.5 * last + fresh
    past, mean = 5 + last[:, None], targets.mean(dim=0)
    for weight in (0.0, 0.3, 0.6, 1.0):
        assert skill_over_blend(past, mean + weight * (past[:, -1] - mean), targets) < 1e-6
    assert skill_over_blend(past, targets, targets) == 1
    hidden = targets.clone()
    hidden[:, :, 0] = torch.nan  # pixels that do not count
    assert skill_over_blend(past, hidden.nan_to_num(99), hidden) == 1


def batch_of(frames):
    zero = torch.arange(len(frames))
    return Batch(frames[:, :-1], frames[:, -1:], None, zero, zero)


def line(n=30):
    """Windows of three frames along straight lines of random slopes, plain all over."""
    slope, base = torch.randn(2, n, 1, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    return batch_of((base + slope * torch.arange(3.0)[:, None, None, None]).expand(n, 3, 1, 4, 5))


def test_a_net_that_uses_no_dynamics_is_found():
    def straight(past):
        return 2 * past[:, -1] - past[:, -2]

    held = line()
    assert failed(order_controls(straight, held, 0)) == set()
    blind = order_controls(persistence, held, 0)
    assert {"repeated_frame"} <= failed(blind)
    one = order_controls(persistence, held._replace(past=held.past[:, -1:]), 0)
    assert [v.applies for v in one] == [False, False, False, True]
    # a straight line is one backwards too
    assert backwards(straight, held).figure == pytest.approx(0, abs=1e-6)


def test_skill_that_brightness_alone_explains_is_found():
    draw = torch.Generator().manual_seed(0)
    texture = torch.randn(40, 1, 1, 4, 5, generator=draw)
    bright = torch.linspace(0, 4, 40)[:, None, None, None, None]
    frames = torch.cat([bright + texture, 2 * bright + texture], dim=1)
    film = batch_of(frames)

    class Right(Stepper):
        def __init__(self):
            torch.nn.Module.__init__(self)

        def forward(self, past):
            return past[:, -1] + bright[:, 0]

    verdict = features(Right(), film, film)
    assert not verdict.passed
    assert verdict.figure > 0.9
    # changes that place, time and brightness do not tell
    odd = texture.roll(1, dims=-1)
    hidden = batch_of(torch.cat([texture, odd], dim=1))

    class Rolled(Right):
        def forward(self, past):
            return past[:, -1].roll(1, dims=-1)

    assert features(Rolled(), hidden, hidden).passed


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_net_that_cannot_know_is_not_asked_to_learn_by_heart(setting_of, kernel):
    setting = setting_of("net.kind=patch_mlp", f"net.kernel={kernel}", "net.width=2")
    verdict = overfit_control(setting)
    assert not verdict.applies
    assert ("one pixel" if kernel == 1 else "too few to learn 64 pixels") in verdict.says


@pytest.mark.slow
def test_all_controls_pass_on_a_wave_and_a_net_that_is_never_fresh_is_found(
    setting_of, monkeypatch
):
    setting = setting_of("sanity=true", "net.width=16", "net.depth=3", "optim.lr=1e-2")
    assert failed(before_training(setting)) == set()
    net = setting.fresh()
    monkeypatch.setattr(Setting, "fresh", lambda self: net)  # trained on and on: never fresh
    assert "shuffled_on_true" in failed(shuffle_controls(setting)) | failed(
        shuffle_controls(setting)
    )


def train(*words):
    return script("train_slime")([str(w) for w in (*QUICK, "tracking.wandb=disabled", *words)])


def test_a_run_whose_splits_share_frames_ends_with_1_and_says_so(bare, tmp_path, capsys):
    frames = waves()
    frames[-3:] = frames[3:6]
    code = train(bare(frames), f"out={tmp_path / 'run'}")
    said = capsys.readouterr().out.strip().splitlines()
    assert code == 1
    assert "controls: 11 of 12 passed" in said
    assert said[-1].startswith("not to be trusted, 1 of 12 controls failed (overlap): cnn: ")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["headline"] == said[-1]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "not to be trusted" in page
    assert "<h2>Controls</h2>" in page
    kept = json.loads((tmp_path / "run" / "sanity.json").read_text())["verdicts"]
    assert [row["name"] for row in kept if not row["passed"]] == ["overlap"]


@pytest.mark.slow
def test_training_is_bitwise_the_same_with_controls_and_without(bare, tmp_path):
    store, hashes = bare(waves()), {}
    for sanity in ("false", "auto", "true"):
        run = tmp_path / sanity
        assert train(store, f"out={run}", f"sanity={sanity}", "net.dropout=0.2") in (0, 1)
        saved = torch.load(run / "last.pt", weights_only=True)
        hashes[sanity] = saved["weights_hash"], (run / "scores.csv").read_text()
        assert (run / "sanity.json").exists() == (sanity != "false")
        assert (run / "figures" / "sanity.png").exists() == (sanity == "true")
    assert hashes["false"] == hashes["auto"] == hashes["true"]


def test_the_table_says_what_failed_and_what_does_not_apply(setting_of, tmp_path):
    setting = setting_of("window.n_in=1")
    verdicts = trained_controls(setting, setting.fresh())
    text = outcome_text(verdicts, whole=True).splitlines()
    assert len(text) == 1 + len(verdicts)
    assert "does not apply: one frame is given (window.n_in=1)" in text[1]
    (tmp_path / "figures").mkdir()
    write_controls(tmp_path, verdicts)
    rows = json.loads((tmp_path / "sanity.json").read_text())["verdicts"]
    assert rows[0]["figure"] is None
    assert rows[3]["band"] == "any"


def test_a_value_of_sanity_that_is_none_is_refused():
    with pytest.raises(SlimeError, match="sanity=maybe must be auto, true or false"):
        load_config(["sanity=maybe"])


def test_masked_targets_are_no_numbers():
    frames = torch.ones(1, 2, 1, 2, 2)
    mask = torch.tensor([[True, False], [True, True]])[None, None, None]
    batch = batch_of(frames)._replace(mask=mask)
    assert targets_of(batch).isnan().tolist() == (~mask[:, 0]).tolist()
