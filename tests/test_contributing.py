"""The examples of CONTRIBUTING.md, put in where it says, do what it says."""

import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SHOWN = {
    section.partition("\n")[0]: section.partition("```python\n")[2].partition("```")[0]
    for section in PAGE.split("\n## ")
    if section.startswith("A new ")
}


def put_into(module, section):
    """What a section's example defines, as if it stood in a module."""
    where = f"CONTRIBUTING.md, {section}"
    names = {"__name__": where} | ({} if module is None else vars(import_module(module)))
    exec(compile(SHOWN[section], where, "exec"), names)
    defined = re.findall(r"^(?:class |def |)(\w+)(?: =|\(|:)", SHOWN[section], re.M)
    return {name: names[name] for name in defined}


def test_every_way_of_growing_has_an_example_of_under_30_lines():
    wanted = {"net", "baseline", "score", "store format", "world", "control"}
    assert set(SHOWN) == {f"A new {what}" for what in wanted}
    assert {
        name: len(text.splitlines()) for name, text in SHOWN.items() if text.count("\n") >= 30
    } == {}


def test_the_net_is_built_from_a_kind_and_forecasts(monkeypatch):
    from slime import nets

    (kind,) = put_into(None, "A new net").values()
    monkeypatch.setitem(nets.FAMILIES, "cnn", kind)
    net = nets.build_net("cnn", n_in=2, channels=1, edges="circular")
    past = torch.zeros(1, 2, 1, 3, 3)
    past[0, -1, 0, 1, 1] = 9.0
    assert net(past)[0, 0].tolist() == [[1.0] * 3] * 3


def test_the_baseline_is_a_row_of_every_table():
    import baselines

    (kind,) = put_into(None, "A new baseline").values()
    made = kind()
    assert isinstance(made, baselines.Baseline)
    past = torch.tensor([1.0, 4.0])[None, :, None, None, None]
    assert made.for_movie(0)(past).item() == 2.5


def test_the_score_is_a_function_of_sums_with_an_interval(monkeypatch):
    from slime.lead_groups import each_lead
    from slime.score import tally_windows
    from slime.score_list import Scorer

    ((name, score),) = put_into("slime.score", "A new score").items()
    truth = torch.rand(40, 1, 2, 4, 5)
    forecast = truth + torch.tensor([0.25, 0.75])[:, None, None]
    tally = tally_windows(forecast, truth, None, torch.zeros(40).int(), torch.arange(40))
    known = Scorer._of_sums
    monkeypatch.setattr(Scorer, "_of_sums", lambda self: {**known(self), name: score})
    scorer = Scorer(np.ones(2), None, n_draws=20, seed=0, level=0.9)
    rows = {one.name: one for one in scorer.plain("net", {"net": tally}, each_lead([1]))}
    assert rows["bias"].values[0].tolist() == pytest.approx([0.25, 0.75, 0.5], abs=1e-6)


def test_the_control_gives_a_verdict():
    (control,) = put_into(None, "A new control").values()
    halves = torch.tensor([1.0, float("nan")])
    assert control(lambda x: x, halves).figure == 0.5
    assert not control(lambda x: x, halves).passed
    assert control(torch.nan_to_num, halves).passed


def test_the_store_format_is_ingested_and_a_cut_file_refused(monkeypatch, tmp_path):
    from scripts_by_name import script

    from slime.errors import StoreError
    from slime.ingest import find
    from slime.movie import open_movie

    new = put_into(None, "A new store format")
    known = find._opener
    monkeypatch.setattr(
        find,
        "_opener",
        lambda path, spec: new["raw_source"] if path.suffix == ".raw" else known(path, spec),
    )
    pixels = np.random.default_rng(0).integers(0, 9999, (5, 64, 64)).astype("<u2")
    (tmp_path / "a dish.raw").write_bytes(pixels.tobytes())
    script("ingest_movie")([str(tmp_path / "a dish.raw"), f"out={tmp_path / 'dish.zarr'}"])
    assert (open_movie(tmp_path / "dish.zarr").values[:, 0] == pixels).all()
    (tmp_path / "cut.raw").write_bytes(pixels.tobytes()[:-1])
    with pytest.raises(StoreError, match="no whole number of frames: 8191 bytes"):
        new["raw_source"](tmp_path / "cut.raw")


def test_the_world_is_filmed_and_goes_on_after_a_kill(monkeypatch, tmp_path):
    from slime.movie import open_movie
    from slime.simulate import physarum_film
    from slime.simulate.filming import World, states_of
    from slime.simulate.movies import make_movies
    from slime.simulate.worlds import WORLDS

    for name, lent in (("World", World), ("states_of", states_of)):
        monkeypatch.setattr(physarum_film, name, lent, raising=False)
    world = put_into("slime.simulate.physarum_film", "A new world")["WAVE"]
    monkeypatch.setitem(WORLDS, "wave", world)
    chosen = {"n_frames": 20, "height_px": 8, "width_px": 32, "speed_px": 2, "frames_per_chunk": 4}

    def film(path):
        make_movies("wave", [path], seeds=[3], **chosen)

    film(tmp_path / "whole.zarr")

    def killed(*words):
        for i, shot in enumerate(world.film(*words)):
            if i == 10:
                raise KeyboardInterrupt
            yield shot

    monkeypatch.setitem(WORLDS, "wave", world._replace(film=killed))
    with pytest.raises(KeyboardInterrupt):
        film(tmp_path / "cut.zarr")
    monkeypatch.setitem(WORLDS, "wave", world)
    film(tmp_path / "cut.zarr")
    whole, cut = (open_movie(tmp_path / name).values for name in ("whole.zarr", "cut.zarr"))
    assert (whole == cut).all()
    row = whole[:, 0].astype(float).mean(axis=1)  # eight frames on, the wave has gone its length
    assert np.corrcoef(row[0], row[8])[0, 1] > 0.99
    assert np.corrcoef(row[0], row[4])[0, 1] < -0.9
