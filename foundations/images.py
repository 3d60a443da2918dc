"""Dots and rings on 16 x 16 pixels: the toy set of exercise F, and a small net for them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

SIZE = 16
RING_PIXELS = 16  # of either radius
RADII = (2, 3)


@dataclass(frozen=True)
class Images:
    """Noisy images (n, 1, 16, 16), their labels (1 is a ring), and a number for each clean one."""

    pixels: Tensor
    labels: Tensor
    clean: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def clean_images(*, dot_pixels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """All 192 images without noise, and their labels: a dot, and rings of two radii, by centre.

    A ring is the 16 pixels whose distance from its centre is nearest to its radius, 2 or 3; a dot
    the one pixel, or the `dot_pixels` pixels, nearest to its centre. Image i is at place i % 64.
    """
    y, x = np.mgrid[:SIZE, :SIZE]
    images, labels = [], []
    for radius in (0, *RADII):
        for cy in range(4, 12):
            for cx in range(4, 12):
                distance = np.hypot(y - cy, x - cx)
                n = dot_pixels if radius == 0 else RING_PIXELS
                nearest = np.argsort(np.abs(distance - radius), axis=None, kind="stable")[:n]
                image = np.zeros(SIZE * SIZE, np.float32)
                image[nearest] = 1
                images.append(image.reshape(SIZE, SIZE))
                labels.append(int(radius > 0))
    return np.stack(images), np.array(labels)


def dots_and_rings(
    n: int = 2500, *, noise: float = 0.05, seed: int = 0, dot_pixels: int = 1
) -> Images:
    """About half dots, half rings; centre and radius are drawn, noise added, clipped to 0..1."""
    draw = np.random.default_rng(seed)
    clean, labels = clean_images(dot_pixels=dot_pixels)
    wanted = draw.integers(0, 2, n)
    rows = np.where(wanted == 0, draw.integers(0, 64, n), draw.integers(64, 192, n))
    pixels = clean[rows] + draw.normal(0, noise, (n, SIZE, SIZE)).astype(np.float32)
    pixels = torch.from_numpy(np.clip(pixels, 0, 1))[:, None]
    return Images(pixels, torch.from_numpy(labels[rows]), rows)


def tiny_cnn(channels: int = 1, n_out: int = 2, *, dropout: float = 0.2) -> nn.Module:
    """Two convolutions with pools, a hidden layer with dropout, and outputs."""
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 32),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(32, n_out),
    )


def parted(n: int, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """The numbers of 0 to n - 1 in three parts at random: 70, 15 and 15 %."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(n))
    a, b = round(0.7 * n), round(0.85 * n)
    return order[:a], order[a:b], order[b:]
