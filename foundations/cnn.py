"""Section 4: a tiny CNN tells dots from rings, and is right everywhere from the first report on."""

from copy import deepcopy
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure, FigureBase
from torch import Tensor, nn

from foundations.exercise import SEEDS, Draw, Exercise, Outcome, Row
from foundations.images import Images, dots_and_rings, parted, tiny_cnn
from foundations.nets import fresh
from foundations.pictures import bare

EPOCHS, BATCH = 20, 128
PARTS = ("train", "val", "test")
NAMES = ("dot", "ring")


class Fit(NamedTuple):
    """A trained net; its loss and accuracy by part, before the first epoch and after each."""

    net: nn.Module
    losses: dict[str, list[float]]
    accuracies: dict[str, list[float]]
    steps: list[float]  # the loss of each batch


def fit_net(
    net: nn.Module,
    sets: dict[str, tuple[Tensor, Tensor]],
    *,
    seed: int = 0,
    epochs: int = EPOCHS,
    lr: float = 1e-3,
) -> Fit:
    """A copy of the net after `epochs` of Adam on sets["train"]; the net given stays as it is.

    Args:
        sets: images and labels by name; all but "train" are only measured.
        seed: of the order of batches and of dropout.
    """
    net = deepcopy(net)
    adam = torch.optim.Adam(net.parameters(), lr=lr, weight_decay=1e-4)
    fit = Fit(net, {name: [] for name in sets}, {name: [] for name in sets}, [])
    pixels, labels = sets["train"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _measure(fit, sets)
        for _ in range(epochs):
            net.train()
            for rows in torch.randperm(len(labels)).split(BATCH):
                loss = nn.functional.cross_entropy(net(pixels[rows]), labels[rows])
                adam.zero_grad()
                loss.backward()
                adam.step()
                fit.steps.append(loss.item())
            _measure(fit, sets)
    return fit


def _measure(fit: Fit, sets: dict[str, tuple[Tensor, Tensor]]) -> None:
    fit.net.eval()
    with torch.no_grad():
        for name, (pixels, labels) in sets.items():
            logits = fit.net(pixels)
            loss = nn.functional.cross_entropy(logits, labels)
            fit.losses[name].append(float(loss))
            fit.accuracies[name].append(right_share(logits, labels))


def right_share(logits: Float[Tensor, "n classes"], labels: Int[Tensor, " n"]) -> float:
    """The accuracy."""
    return float((logits.argmax(dim=1) == labels).float().mean())


def sets_of(images: Images, *, seed: int = 0) -> dict[str, tuple[Tensor, Tensor]]:
    """Images and labels of train, validation and test, 70, 15 and 15 %."""
    parts = zip(PARTS, parted(len(images), seed=seed), strict=True)
    return {name: (images.pixels[rows], images.labels[rows]) for name, rows in parts}


@cache
def fitted(seed: int) -> Fit:
    """The tiny CNN on dots and rings, all drawn by one seed. Kept, since hypotheses share it."""
    return fit_net(
        fresh(tiny_cnn, [seed])[0], sets_of(dots_and_rings(seed=seed), seed=seed), seed=seed
    )


def dot_or_ring() -> Outcome:
    """Section 4, over three seeds."""
    fits = [fitted(seed) for seed in SEEDS]
    rows = [
        Row(f"{name} accuracy", [f.accuracies[part][-1] for f in fits], "1.000", 0.99, 1.0)
        for part, name in zip(PARTS, ("train", "validation", "test"), strict=True)
    ]
    rings = [float(dots_and_rings(seed=s).labels.float().mean()) for s in SEEDS]
    rows += [Row("share of rings", rings, "", 0.46, 0.54)]
    says = "Right everywhere: too good to be true? Exercise F asks why."
    return Outcome(rows, _picture(dots_and_rings(seed=SEEDS[0]), fits[0]), says=says)


def draw_samples(
    figure: FigureBase, images: Images, *, n: int = 6, names: tuple[str, str] = NAMES
) -> None:
    """The first n images of either class, a row a class."""
    for row, (axes, label) in enumerate(zip(figure.subplots(2, n), (0, 1), strict=True)):
        for one, i in zip(axes, np.flatnonzero(images.labels.numpy() == label), strict=False):
            one.imshow(images.pixels[i, 0].numpy(), cmap="magma", vmin=0, vmax=1)
            one.set(xticks=[], yticks=[])
        axes[0].set_ylabel(names[row])


def draw_classes(figure: FigureBase, images: Images) -> None:
    """How many images each class has, and their means."""
    axes = figure.subplots(1, 3)
    counts = images.labels.bincount()
    bare(axes[0]).bar(NAMES, counts.tolist(), color=["C0", "C1"])
    axes[0].set_title("images", fontsize=10)
    for label, one in enumerate(axes[1:]):
        one.imshow(images.pixels[images.labels == label].mean(dim=(0, 1)).numpy(), cmap="magma")
        one.set(xticks=[], yticks=[])
        one.set_title(f"mean {NAMES[label]}", fontsize=10)


def draw_batch(figure: FigureBase, images: Images, *, seed: int = 0, n: int = 32) -> None:
    """The first images of a batch as the net sees them, in one picture."""
    rows = parted(len(images), seed=seed)[0][:n]
    tiles = images.pixels[rows, 0].unflatten(0, (2, -1)).numpy()  # row column y x
    axes = figure.subplots()
    axes.imshow(np.block([list(row) for row in tiles]), cmap="magma", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    axes.set_title(f"{n} images of a batch", fontsize=10)


def draw_learning(figure: FigureBase, fit: Fit) -> None:
    """Loss and accuracy of train and validation by epoch; epoch 0 is before any training."""
    left, right = figure.subplots(1, 2)
    for part, label in (("train", "train"), ("val", "validation")):
        bare(left).semilogy(fit.losses[part], label=label)
        bare(right).plot(fit.accuracies[part], label=label)
    left.set(xlabel="epoch", ylabel="cross-entropy")
    right.set(xlabel="epoch", ylabel="accuracy", ylim=(0.4, 1.02))
    right.legend(frameon=False)


def _picture(images: Images, fit: Fit) -> Draw:
    def draw(figure: Figure) -> None:
        figure.set_size_inches(9.0, 7.5)
        above, middle, below = figure.subfigures(3, 1, squeeze=False, height_ratios=(3, 2, 3))[:, 0]
        draw_samples(above, images)
        left, right = middle.subfigures(1, 2, squeeze=False)[0]
        draw_classes(left, images)
        draw_batch(right, images)
        draw_learning(below, fit)

    return draw


EXERCISES = (Exercise("4", "a tiny CNN: dot or ring", dot_or_ring),)
