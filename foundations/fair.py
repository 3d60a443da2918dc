"""Exercise F's way out: discs and rings of one brightness, test images at places of their own.

Neither brightness nor a linear law of pixels is worth anything here, so that a net has to work.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from foundations.cnn import Fit, fit_net
from foundations.images import RING_PIXELS, Images, dots_and_rings, parted, tiny_cnn
from foundations.nets import fresh
from foundations.sanity import Verdict, overlap, trivial_features

N_PLACES = 64
FAIR_NAMES = ("disc", "ring")
Rows = tuple[Tensor, Tensor, Tensor]  # of train, validation and test


def discs_and_rings(n: int = 2500, *, noise: float = 0.05, seed: int = 0) -> Images:
    """As dots and rings, but a dot is a disc of as many pixels as a ring has."""
    return dots_and_rings(n, noise=noise, seed=seed, dot_pixels=RING_PIXELS)


def places(images: Images) -> np.ndarray:
    """The number of each image's centre, 0 to 63."""
    return images.clean % N_PLACES


def parted_by_place(images: Images, *, seed: int = 0) -> Rows:
    """The rows of three parts, 70, 15 and 15 % of the places: no centre is in two of them."""
    at = torch.from_numpy(places(images))
    train, val, test = (torch.isin(at, p).nonzero()[:, 0] for p in parted(N_PLACES, seed=seed))
    return train, val, test


def shared_places(images: Images, rows: Rows) -> Verdict:
    """The share of places of a part that another part has too."""
    at = places(images)
    return overlap({"test": at[rows[2]], "train": at[rows[0]]}, of="places")


def law(images: Images, rows: Rows, features: Tensor, ours: float) -> Verdict:
    """What a logistic law of some features reaches on the test rows, over the net's accuracy."""
    train, _, test = rows
    labels = images.labels.numpy()

    def score(said: np.ndarray) -> float:
        return float((said == labels[test]).mean())

    pairs = features[train].numpy(), labels[train]
    made = LogisticRegression(max_iter=300)
    return trivial_features(made, pairs, features[test].numpy(), score, ours=ours, share=0.65)


class Fair(NamedTuple):
    """What one seed gave: the net, and what overlap and two laws came to by the controls.

    Attributes:
        seen: the linear law's accuracy where places are shared, by a split at random.
    """

    fit: Fit
    shared: Verdict
    brightness: Verdict
    linear: Verdict
    seen: Verdict


@cache
def fair(seed: int) -> Fair:
    """The CNN, brightness and a linear law on discs and rings. Kept, a seed each."""
    images = discs_and_rings(seed=seed)
    rows = parted_by_place(images, seed=seed)
    sets = {
        name: (images.pixels[part], images.labels[part])
        for name, part in zip(("train", "val", "test"), rows, strict=True)
    }
    fit = fit_net(fresh(tiny_cnn, [seed])[0], sets, seed=seed)
    ours = fit.accuracies["test"][-1]
    flat = images.pixels.flatten(1)
    return Fair(
        fit,
        shared_places(images, rows),
        law(images, rows, flat.sum(dim=1, keepdim=True), ours),
        law(images, rows, flat, ours),
        law(images, parted(len(images), seed=seed), flat, 1.0),
    )
