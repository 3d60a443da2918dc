"""The picture of rollouts: every model beside the truth, also where it has nothing to show."""

import io

import numpy as np
import pytest
from test_observables_rollouts import SHARP, both, field, spiral

from slime.observables.reading import Units
from slime.observables.rollouts import rollout_choices, see
from slime.plots.rollouts import rollout_page

N, Y, X = spiral().shape


@pytest.fixture
def shown():
    still = np.broadcast_to(spiral()[0], (N, Y, X))
    broken = spiral().copy()
    broken[5:] = np.nan
    net, truth = both(spiral(), spiral(shift=2))
    return {
        "truth": truth,
        "cnn": net,
        "persistence": both(spiral(), still)[0],
        "drift": both(spiral(), broken)[0],
        "flat": both(spiral(), 0 * spiral())[0],
    }


def drawn(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure


def test_every_model_is_drawn_and_named(shown):
    figure = drawn(rollout_page(shown, "cnn", "a dish, val split"))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title.split(":")[0] for title in titles[:5]] == list(shown)
    # spirals of 12 frames of 15 s; what stands still has no waves, what is not finite is lost
    assert [float(title.split()[0]) for title in titles[5:7]] == pytest.approx([180, 180], abs=2)
    assert [title.split()[1] for title in titles[5:7]] == ["s", "s"]
    assert titles[7:10] == ["no waves", "lost", "no waves"]
    assert titles[3] == "drift: lost"


def test_mounds_are_circled_where_they_are(shown):
    figure = rollout_page(shown, "cnn", "a dish")
    moment = shown["truth"].moments[N]
    circles = figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(circles[:, ::-1] * 50, moment.mounds.position_um)


def test_the_curves_are_of_all_models(shown):
    figure = drawn(rollout_page(shown, "cnn", "a dish"))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["truth", "cnn", "persistence", "drift (none)", "flat (none)"]
    tips = next(a for a in figure.axes if "singularities" in a.get_title(loc="left"))
    number = shown["truth"].waves.series["n_singularities"]
    np.testing.assert_array_equal(tips.lines[0].get_ydata(), number)


def test_many_models_stand_under_one_another(shown):
    more = shown | {f"model {i}": shown["cnn"] for i in range(6)}
    figure = drawn(rollout_page(more, "cnn", "a dish"))
    first, seventh = figure.axes[0].get_position(), figure.axes[6].get_position()
    assert figure.axes[6].get_title(loc="left").startswith("model 1")
    assert seventh.x0 == pytest.approx(first.x0, abs=0.01)
    assert seventh.y1 < first.y0
    assert figure.get_size_inches()[0] < 15


def test_a_flat_movie_without_units_is_drawn():
    flat = field(np.full((20, Y, X), 7.0), Units(1.0, 1.0, "frame", "px"))
    truth = see(flat, rollout_choices(flat, SHARP))
    figure = drawn(rollout_page({"truth": truth, "cnn": truth}, "cnn", "a dish"))
    assert any(t.get_text() == "no phase" for a in figure.axes for t in a.texts)
