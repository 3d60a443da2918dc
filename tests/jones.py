"""Jones's rule agent by agent in plain Python, with its own chances, and networks measured."""

import math
from collections.abc import Sequence

import numpy as np
from skimage.filters import threshold_otsu
from skimage.morphology import skeletonize


def go_in_turn(here: Sequence[int], there: Sequence[int], order: Sequence[int]) -> list[bool]:
    """Who finds the point it wants empty or its own, one agent after the other."""
    taken, goes = set(here), [False] * len(here)
    for agent in sorted(range(len(here)), key=lambda one: order[one]):
        if there[agent] == here[agent] or there[agent] not in taken:
            taken.remove(here[agent])
            taken.add(there[agent])
            goes[agent] = True
    return goes


def sequential_trails(size: int, n_agents: int, at_steps: Sequence[int], seed: int):
    """The trail after so many steps; SA 45, RA 45, SO 9, SS 1, deposit 5, decay 0.1."""
    draw = np.random.default_rng(seed)
    y, x = divmod(draw.permutation(size * size)[:n_agents], size)
    x, y, heading = x + 0.5, y + 0.5, draw.uniform(0, 2 * np.pi, n_agents)
    trail = np.zeros((size, size))
    for number in range(1, max(at_steps) + 1):
        _move(x, y, heading, trail, draw)
        _turn(x, y, heading, trail, draw)
        trail = (
            0.9 * sum(np.roll(trail, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9
        )
        if number in at_steps:
            yield trail


def _move(x, y, heading, trail, draw) -> None:
    size = len(trail)
    taken = np.zeros(trail.shape, bool)
    taken[y.astype(int), x.astype(int)] = True
    rows = taken.tolist()
    for agent in draw.permutation(len(x)).tolist():
        old_x, old_y, way = float(x[agent]), float(y[agent]), float(heading[agent])
        new_x, new_y = (old_x + math.cos(way)) % size, (old_y + math.sin(way)) % size
        rows[int(old_y)][int(old_x)] = False
        if rows[int(new_y)][int(new_x)]:
            rows[int(old_y)][int(old_x)] = True
            heading[agent] = draw.random() * 2 * math.pi
            continue
        rows[int(new_y)][int(new_x)] = True
        x[agent], y[agent] = new_x, new_y
        trail[int(new_y), int(new_x)] += 5


def _turn(x, y, heading, trail, draw) -> None:
    """Sensing changes no trail, so the order of agents means nothing here."""
    size, eighth = len(trail), math.pi / 4

    def smelt(way):
        column = np.floor(x + 9 * np.cos(heading + way)).astype(int) % size
        return trail[np.floor(y + 9 * np.sin(heading + way)).astype(int) % size, column]

    ahead, left, right = smelt(0), smelt(-eighth), smelt(eighth)
    either = np.where(draw.random(len(x)) < 0.5, -eighth, eighth)
    conditions = [(ahead > left) & (ahead > right), (ahead < left) & (ahead < right)]
    conditions += [left < right, right < left]
    heading += np.select(conditions, [np.zeros(len(x)), either, eighth, -eighth], 0.0)


def skeleton_pixels(trail: np.ndarray) -> int:
    """Pixels of the skeleton of what is above Otsu's threshold."""
    return int(skeletonize(trail > threshold_otsu(trail)).sum())


def mean_wavelength_px(trail: np.ndarray) -> float:
    """One over the mean wave number, weighted by power, the mean removed, under a Hann window."""
    window = np.outer(*[np.hanning(n) for n in trail.shape])
    power = np.abs(np.fft.fft2((trail - trail.mean()) * window)) ** 2
    k = np.hypot(*np.meshgrid(*[np.fft.fftfreq(n) for n in trail.shape], indexing="ij"))
    return float(power.sum() / (power * k).sum())
