"""Exercise F, too good to be true: why a tiny CNN reaches an accuracy of 1 at once, by experiment.

Each hypothesis is one function and one verdict, by the very controls that slime asks of movies.
"""

import math

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from foundations.images import Images, parted, tiny_cnn
from foundations.sanity import (
    Fitted,
    Verdict,
    initial_loss,
    overfit_one_batch,
    overlap,
    shuffled_targets,
    trivial_features,
)

EPOCHS, BATCH = 20, 128


def fit_cnn(pixels: Tensor, labels: Tensor, *, seed: int = 0, epochs: int = EPOCHS) -> Fitted:
    """A fresh tiny CNN after `epochs` of Adam; it predicts labels, and gives its loss by step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = tiny_cnn()
        adam = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)
        losses = []
        for _ in range(epochs):
            for rows in torch.randperm(len(labels)).split(BATCH):
                loss = nn.functional.cross_entropy(net(pixels[rows]), labels[rows])
                adam.zero_grad()
                loss.backward()
                adam.step()
                losses.append(loss.item())
    net.eval()
    return Fitted(lambda x: net(x).argmax(dim=1), losses)


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


def brightness_alone(images: Images, ours: float, *, seed: int = 0) -> Verdict:
    """What a logistic law of an image's brightness reaches beside the CNN."""
    bright = images.pixels.sum(dim=(1, 2, 3))[:, None].numpy()
    train, _, test = parted(len(images), seed=seed)
    labels = images.labels.numpy()

    def score(said: np.ndarray) -> float:
        return float((said == labels[test]).mean())

    pairs = bright[train], labels[train]
    return trivial_features(LogisticRegression(), pairs, bright[test], score, ours=ours, share=0.6)


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
