"""Exercise F, too good to be true: why a tiny CNN reaches an accuracy of 1 at once, by experiment.

Each hypothesis is one function and one verdict, by the very controls that slime asks of movies.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from foundations.cnn import EPOCHS, fit_net, fitted, sets_of
from foundations.fair import law
from foundations.images import Images, dots_and_rings, parted, tiny_cnn
from foundations.nets import fresh
from foundations.sanity import (
    Fitted,
    Verdict,
    initial_loss,
    overfit_one_batch,
    overlap,
    shuffled_order,
    shuffled_targets,
)


def fit_cnn(pixels: Tensor, labels: Tensor, *, seed: int = 0, epochs: int = EPOCHS) -> Fitted:
    """A fresh tiny CNN after `epochs` of Adam; it predicts labels, and gives its loss by step."""
    net = fresh(tiny_cnn, [seed])[0]
    fit = fit_net(net, {"train": (pixels, labels)}, seed=seed, epochs=epochs)
    return Fitted(lambda x: fit.net(x).argmax(dim=1), fit.steps)


def accuracy(_: Tensor, said: Tensor, labels: Tensor) -> float:
    """The share of labels that are right."""
    return float((said == labels).float().mean())


def clean_twins(images: Images, *, seed: int = 0) -> Verdict:
    """The share of test images of which train holds one with the same clean image: nearly all."""
    train, _, test = parted(len(images), seed=seed)
    parts = {"test": images.clean[test], "train": images.clean[train]}
    return overlap(parts, of="clean images")


def exact_twins(images: Images, *, seed: int = 0) -> Verdict:
    """The same of the noisy images, to the bit: none, thanks to the noise."""
    hashes = np.array([hash(image.numpy().tobytes()) for image in images.pixels])
    train, _, test = parted(len(images), seed=seed)
    return overlap({"test": hashes[test], "train": hashes[train]}, of="images")


def near_twins(images: Images, *, seed: int = 0) -> Verdict:
    """The share of test images whose nearest image of train, by pixels, has their clean image."""
    train, _, test = parted(len(images), seed=seed)
    flat = images.pixels.flatten(1)
    nearest = torch.cdist(flat[test], flat[train]).argmin(dim=1).numpy()
    same = images.clean[train][nearest] == images.clean[test]
    says = f"{same.sum()} of {len(same)} test images: the nearest of train is a twin but for noise"
    return Verdict("near_twins", float(same.mean()), 0.0, 0.0, says)


def brightness_alone(images: Images, ours: float, *, seed: int = 0) -> Verdict:
    """What a logistic law of an image's brightness reaches beside the CNN."""
    bright = images.pixels.sum(dim=(1, 2, 3))[:, None]
    return law(images, parted(len(images), seed=seed), bright, ours)


def pixels_alone(images: Images, ours: float, *, seed: int = 0) -> Verdict:
    """What a logistic law of all 256 pixels, which is linear, reaches beside the CNN."""
    return law(images, parted(len(images), seed=seed), images.pixels.flatten(1), ours)


def few_filters(n_filters: int) -> nn.Module:
    """One convolution, a pool and a linear layer: as few as one filter of 3 x 3.

    With a slope below 0, since a lone filter with a plain ReLU may be dead from the start.
    """
    return nn.Sequential(
        nn.Conv2d(1, n_filters, 3, padding=1),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * n_filters, 2),
    )


def smaller_net(images: Images, n_filters: int, *, seed: int = 0) -> float:
    """The test accuracy of a net with so few filters."""
    net = fresh(lambda: few_filters(n_filters), [seed])[0]
    return fit_net(net, sets_of(images, seed=seed), seed=seed, lr=5e-3).accuracies["test"][-1]


class Beginnings(NamedTuple):
    """Validation accuracies before the first epoch of a training and after it."""

    fresh: tuple[float, float]
    second_call: tuple[float, float]


def beginnings(*, seed: int = 0) -> Beginnings:
    """How a fresh net begins, and how a net does that is trained by a second call.

    The second call goes on with the weights of the first, so that its "epoch 1" is epoch 21.
    """
    first = fitted(seed)
    again = fit_net(first.net, sets_of(dots_and_rings(seed=seed), seed=seed), seed=seed, epochs=1)
    before, after = first.accuracies["val"][:2]
    return Beginnings((before, after), (again.accuracies["val"][0], again.accuracies["val"][1]))


def against_shuffled(said: Tensor, labels: Tensor, *, seed: int = 0) -> float:
    """The accuracy of answers against shuffled labels: 0.5 for the right answers too."""
    return accuracy(labels, said, labels[shuffled_order(len(labels), seed)])


def shuffled_labels(images: Images, *, seed: int = 0) -> tuple[Verdict, Verdict]:
    """A net trained on shuffled labels, against shuffled test labels (near 0.5) and true ones."""
    train, _, test = parted(len(images), seed=seed)

    def fit(pixels: Tensor, labels: Tensor) -> Fitted:
        return fit_cnn(pixels, labels, seed=seed)

    pairs = images.pixels, images.labels
    return shuffled_targets(fit, accuracy, pairs, train, test, low=0.42, high=0.58, seed=seed)


def fresh_net(images: Images, *, seed: int = 0) -> tuple[Verdict, Verdict]:
    """A net that was not trained: its loss is log 2, and it can learn 32 images by heart."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = tiny_cnn().eval()

    def loss(model: nn.Module) -> Tensor:
        return nn.functional.cross_entropy(model(images.pixels[:32]), images.labels[:32])

    with torch.no_grad():
        first = float(loss(net))
    return (
        initial_loss(first, math.log(2), low=0.9, high=1.1, of="chance"),
        overfit_one_batch(net, loss),
    )
