import pytest
import torch
from torch import nn

from foundations.nets import fresh, linear_regressor, toy_mlp
from foundations.together import (
    Recipe,
    cross_entropy,
    fit_together,
    right_class,
    squared_error,
)
from foundations.toys import Pairs, line, moons, split


def cnn():
    return nn.Sequential(nn.Unflatten(1, (1, 2)), nn.Conv1d(1, 3, 2), nn.Flatten(), nn.Linear(3, 2))


class Wrapped(nn.Module):
    """A net that is no Sequential."""

    def __init__(self):
        super().__init__()
        self.net = toy_mlp(dropout=0.0, widths=(4,))

    def forward(self, x):
        return self.net(x)


def sets(n=40):
    parts = [split(*moons(n, seed=seed), seed=seed) for seed in (0, 1)]
    return [p.train for p in parts], [p.val for p in parts]


def alone(net, pairs, recipe, loss):
    """What torch makes of one net, with whole batches: the order does not matter."""
    kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[recipe.optimizer]
    optimizer = kind(net.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, *recipe.schedule)
    for _ in range(recipe.epochs):
        optimizer.zero_grad()
        loss(net(pairs.x), pairs.y).mean().backward()
        optimizer.step()
        schedule.step()
    return net


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("build", [lambda: toy_mlp(dropout=0.0), cnn, Wrapped])
def test_nets_trained_together_are_those_trained_alone(build, optimizer):
    train, val = sets()
    recipe = Recipe(0.01, 12, 28, weight_decay=0.01, optimizer=optimizer, schedule=(5, 0.5))
    together = fit_together(fresh(build, (0, 1)), train, val, recipe, loss=cross_entropy)
    for i, net in enumerate(fresh(build, (0, 1))):
        wanted = alone(net, train[i], recipe, cross_entropy)(val[i].x)
        assert torch.allclose(together.last[i](val[i].x), wanted, atol=1e-5)


def test_curves_are_those_of_the_nets_as_they_are_after_an_epoch():
    train, val = sets()
    scores = {"accuracy": right_class}
    fit = fit_together(
        fresh(toy_mlp, (0, 1)), train, val, Recipe(0.01, 3), loss=cross_entropy, scores=scores
    )
    assert set(fit.curves) == {f"{p} {n}" for p in ("train", "val") for n in ("loss", "accuracy")}
    for i in (0, 1):
        said = fit.last[i](train[i].x)
        loss = nn.functional.cross_entropy(said, train[i].y)
        assert torch.isclose(fit.curves["train loss"][-1, i], loss)
        share = (said.argmax(1) == train[i].y).float().mean()
        assert fit.curves["train accuracy"][-1, i] == share


def test_the_best_weights_are_those_of_least_validation_loss():
    train, val = sets()
    fit = fit_together(fresh(toy_mlp, (0, 1)), train, val, Recipe(0.3, 27), loss=cross_entropy)
    curve = fit.curves["val loss"]
    assert (curve.min(dim=0).values < curve[-1]).any()
    for i in (0, 1):
        loss = cross_entropy(fit.best[i](val[i].x), val[i].y).mean()
        assert torch.isclose(loss, curve[:, i].min())


def test_dropout_differs_from_net_to_net_and_is_repeated_by_the_seed():
    train, val = sets()
    twice = [train[0], train[0]], [val[0], val[0]]
    nets = fresh(toy_mlp, (3, 3))
    recipe = Recipe(0.01, 2, batch=28)

    def trained(seed):
        fit = fit_together(nets, *twice, recipe, loss=cross_entropy, seed=seed)
        return [net(val[0].x) for net in fit.last]

    one, other = trained(0)
    assert not torch.equal(one, other)
    assert torch.equal(one, trained(0)[0])
    assert not torch.equal(one, trained(1)[0])


def test_nets_and_random_state_stay_as_they_were():
    train, val = sets()
    (net,) = fresh(toy_mlp, (0,))
    before, state = net[0].weight.clone(), torch.get_rng_state()
    fit_together([net], train[:1], val[:1], Recipe(0.1, 1), loss=cross_entropy)
    assert torch.equal(net[0].weight, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_line_is_learned():
    pairs = line(200, noise=0.0)
    fit = fit_together(
        fresh(linear_regressor, (0,)), [pairs], [pairs], Recipe(0.05, 100), loss=squared_error
    )
    assert abs(fit.last[0].weight.item() - 2.2) < 1e-3
    assert abs(fit.last[0].bias.item() + 0.7) < 1e-3


def test_errors_of_a_row_are_means_over_its_outputs():
    said, truth = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 4.0], [0.0, 1.0]])
    assert squared_error(said, truth).tolist() == [2.5, 0.5]
    assert Pairs(said, truth).y is truth
