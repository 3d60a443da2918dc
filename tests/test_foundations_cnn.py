"""Section 4: the training measures what it says, and the pictures are drawn."""

import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from foundations.cnn import (
    dot_or_ring,
    draw_batch,
    draw_classes,
    draw_learning,
    draw_samples,
    fit_net,
    right_share,
    sets_of,
)
from foundations.exercise import drawn
from foundations.images import dots_and_rings, tiny_cnn
from foundations.nets import fresh

IMAGES = dots_and_rings(200, seed=1)


def test_accuracy_is_the_share_of_largest_logits():
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [0.0, 4.0]])
    assert right_share(logits, torch.tensor([0, 1, 1, 1])) == 0.75


def test_the_parts_are_70_15_and_15_percent_of_the_images():
    assert {name: len(y) for name, (_, y) in sets_of(IMAGES).items()} == {
        "train": 140,
        "val": 30,
        "test": 30,
    }


def test_a_training_leaves_its_net_and_the_random_state_and_begins_before_the_first_epoch():
    net = fresh(tiny_cnn, [0])[0]
    before = [p.clone() for p in net.parameters()]
    state = torch.get_rng_state()
    fit = fit_net(net, sets_of(IMAGES), epochs=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert len(fit.steps) == 2 * 2  # 140 images, batches of 128 and 12
    assert [len(of) for of in fit.losses.values()] == [3, 3, 3]
    x, y = sets_of(IMAGES)["val"]
    with torch.no_grad():
        fresh_loss = nn.functional.cross_entropy(net.eval()(x), y).item()
        end_loss = nn.functional.cross_entropy(fit.net(x), y).item()
    assert fit.losses["val"][0] == pytest.approx(fresh_loss)
    assert fit.losses["val"][-1] == pytest.approx(end_loss)
    again = fit_net(net, sets_of(IMAGES), epochs=2)
    assert again.losses == fit.losses
    assert fit_net(net, sets_of(IMAGES), epochs=2, seed=1).losses != fit.losses


def test_samples_classes_a_batch_and_curves_are_drawn():
    fit = fit_net(fresh(tiny_cnn, [0])[0], sets_of(IMAGES), epochs=1)
    figure = Figure()
    parts = figure.subfigures(4, 1)
    draw_samples(parts[0], IMAGES, n=3)
    assert len(parts[0].axes) == 6
    assert torch.equal(
        torch.as_tensor(parts[0].axes[3].images[0].get_array()),
        IMAGES.pixels[IMAGES.labels == 1][0, 0],
    )
    draw_classes(parts[1], IMAGES)
    bars = [bar.get_height() for bar in parts[1].axes[0].patches]
    assert bars == IMAGES.labels.bincount().tolist()
    draw_batch(parts[2], IMAGES, n=8)
    assert parts[2].axes[0].images[0].get_array().shape == (2 * 16, 4 * 16)
    draw_learning(parts[3], fit)
    assert len(parts[3].axes[0].lines[0].get_ydata()) == 2
    figure.canvas.draw()


@pytest.mark.slow
def test_every_row_of_section_4_is_in_its_band():
    outcome = dot_or_ring()
    assert [row.name for row in outcome.rows if not row.passed] == []
    assert all(len(row.ours) >= 3 for row in outcome.rows)
    drawn(outcome).canvas.draw()
