"""A world of agents that follow a trail and lay it: the network of a Physarum plasmodium.

Jones 2010, doi 10.1162/artl.2010.16.2.16202. Agents act one after the other in a random order. Here
all act at once, with the same outcome as in that order: see `granted`. Edges are periodic.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor
from torch.nn.functional import pad

from slime.simulate.physarum_spec import PhysarumSpec

TURN = 2 * math.pi


@dataclass(frozen=True)
class PhysarumState:
    """All that the next step needs, for every movie `m` of a batch.

    Each movie has its own generator, so that it does not depend on the others in the batch; the
    generators are owned by the newest state and move on with every step.
    """

    n_steps: int
    trail: Float[Tensor, "m y x"]
    agents_px: Float[Tensor, "m agent 2"]  # x, y
    heading: Float[Tensor, "m agent"]  # radians, from x towards y
    generators: tuple[Generator, ...]


class Draws(NamedTuple):
    """The chances of one step."""

    order: Int[Tensor, "m agent"]  # the turn of each agent, 0 the first
    heading: Float[Tensor, "m agent"]  # of an agent that is refused
    side: Float[Tensor, "m agent"]  # 1 or -1, for an agent that would turn either way


def initial_state(
    spec: PhysarumSpec, seeds: Sequence[int], device: torch.device | str = "cpu"
) -> PhysarumState:
    """Agents on random grid points, one a point, with random headings, and no trail."""
    generators = tuple(Generator(device).manual_seed(seed) for seed in seeds)
    agents, headings = zip(*(_one_start(spec, one) for one in generators), strict=True)
    trail = torch.zeros(len(seeds), *spec.shape, device=device)
    return PhysarumState(0, trail, torch.stack(agents), torch.stack(headings), generators)


def _one_start(
    spec: PhysarumSpec, generator: Generator
) -> tuple[Float[Tensor, "agent 2"], Float[Tensor, " agent"]]:
    n_points, device = spec.height_px * spec.width_px, generator.device
    points = torch.randperm(n_points, generator=generator, device=device)[: spec.n_agents]
    x, y = points % spec.width_px, points // spec.width_px
    heading = TURN * torch.rand(spec.n_agents, generator=generator, device=device)
    return torch.stack([x, y], dim=-1) + 0.5, heading


def step(state: PhysarumState, spec: PhysarumSpec) -> PhysarumState:
    """The state one step later: agents move, sense and turn, then the trail spreads."""
    chances = _draws(state)
    agents, heading, went = moved(state.agents_px, state.heading, chances, spec)
    trail = laid(state.trail, agents, went, spec)
    heading = turned(trail, agents, heading, chances.side, spec)
    return PhysarumState(state.n_steps + 1, spread(trail, spec), agents, heading, state.generators)


def _draws(state: PhysarumState) -> Draws:
    n_agents, device = state.heading.shape[1], state.heading.device
    order, chance = [], []
    for one in state.generators:
        order.append(torch.randperm(n_agents, generator=one, device=device))
        chance.append(torch.rand(2, n_agents, generator=one, device=device))
    chances = torch.stack(chance)
    return Draws(torch.stack(order), TURN * chances[:, 0], torch.sign(chances[:, 1] - 0.5))


def advanced(state: PhysarumState, spec: PhysarumSpec, n_steps: int) -> PhysarumState:
    """The state `n_steps` later."""
    for _ in range(n_steps):
        state = step(state, spec)
    return state


def wrapped(
    places_px: Float[Tensor, "m agent 2"], shape: tuple[int, int]
) -> Float[Tensor, "m agent 2"]:
    """Places brought back into the grid across its periodic edges."""
    size = places_px.new_tensor(shape[::-1])
    inside = (places_px - size * torch.floor(places_px / size)).clamp_(min=0)
    return torch.where(inside < size, inside, 0.0)  # -1e-9 is rounded up to the size itself


def points(places_px: Float[Tensor, "m agent 2"], shape: tuple[int, int]) -> Int[Tensor, "m agent"]:
    """The number of the grid point at each place, counted along x and then y, edges periodic."""
    x, y = wrapped(places_px, shape).long().unbind(-1)
    return y * shape[1] + x


def _ahead(
    agents_px: Float[Tensor, "m agent 2"], heading: Float[Tensor, "m agent"], reach_px: float
) -> Float[Tensor, "m agent 2"]:
    return agents_px + reach_px * torch.stack([heading.cos(), heading.sin()], dim=-1)


def moved(
    agents_px: Float[Tensor, "m agent 2"],
    heading: Float[Tensor, "m agent"],
    chances: Draws,
    spec: PhysarumSpec,
) -> tuple[Float[Tensor, "m agent 2"], Float[Tensor, "m agent"], Bool[Tensor, "m agent"]]:
    """Places and headings after all have tried a step, and who went.

    An agent goes if the point ahead is empty at its turn, or is the one it stands on; else it
    stays and takes a random heading.
    """
    targets = wrapped(_ahead(agents_px, heading, spec.step_px), spec.shape)
    n_points = spec.height_px * spec.width_px
    here, there = points(agents_px, spec.shape), points(targets, spec.shape)
    went = granted(here, there, chances.order, n_points)
    return (
        torch.where(went[..., None], targets, agents_px),
        torch.where(went, heading, chances.heading),
        went,
    )


def granted(
    here: Int[Tensor, "m agent"],
    there: Int[Tensor, "m agent"],
    order: Int[Tensor, "m agent"],
    n_points: int,
) -> Bool[Tensor, "m agent"]:
    """Whether each agent finds the point it wants empty, all asking one after the other in `order`.

    A point that was empty goes to the first that wants it. One that is taken can only go to the
    first of those whose turn comes after that of its holder, and does if the holder went: a queue
    of agents, each in the place that the next one wants. Queues are followed for all at once, in as
    many rounds as the longest has agents; they are short, since each is in the order of turns.

    Args:
        here: the point that each stands on, no two on one.
        there: the point that each wants; its own is granted.
        order: a permutation, 0 has the first turn.
    """
    n_movies, n_agents = here.shape
    movie = torch.arange(n_movies, device=here.device)[:, None] * n_points
    here, there, order = (here + movie).flatten(), (there + movie).flatten(), order.flatten()
    nobody, never = n_movies * n_agents, n_agents
    holders = here.new_full((n_movies * n_points,), nobody)
    holders[here] = torch.arange(nobody, device=here.device)
    holder, stays = holders[there], there == here
    empty = holder == nobody
    holder = holder.clamp_(max=nobody - 1)
    can = empty | ((order[holder] < order) & ~stays[holder])
    first = here.new_full((n_movies * n_points,), never)
    first.scatter_reduce_(0, there, torch.where(can, order, never), "amin")
    wins = can & (first[there] == order)
    goes = stays | (wins & empty)
    queued = (wins & ~empty).nonzero()[:, 0]
    while not torch.equal(now := goes[holder[queued]], goes[queued]):
        goes[queued] = now
    return goes.reshape(n_movies, n_agents)


def laid(
    trail: Float[Tensor, "m y x"],
    agents_px: Float[Tensor, "m agent 2"],
    went: Bool[Tensor, "m agent"],
    spec: PhysarumSpec,
) -> Float[Tensor, "m y x"]:
    """The trail with a deposit under every agent that went."""
    drops = torch.where(went, spec.deposit, 0.0).to(trail.dtype)
    # one agent a point: no two drops meet, so their order means nothing
    return trail.flatten(1).scatter_add(1, points(agents_px, spec.shape), drops).view_as(trail)


def turned(
    trail: Float[Tensor, "m y x"],
    agents_px: Float[Tensor, "m agent 2"],
    heading: Float[Tensor, "m agent"],
    side: Float[Tensor, "m agent"],
    spec: PhysarumSpec,
) -> Float[Tensor, "m agent"]:
    """The headings after sensing, from 0 to 2 pi.

    Most trail ahead: straight on. Least ahead: a turn to `side`. Else a turn to the side that has
    more; straight on if both have the same.
    """
    angle, rotation = math.radians(spec.sensor_angle_deg), math.radians(spec.rotation_deg)
    ahead, less, more = (
        trail.flatten(1).gather(
            1, points(_ahead(agents_px, heading + way, spec.sensor_offset_px), spec.shape)
        )
        for way in (0.0, -angle, angle)
    )
    to_more = torch.sign(more - less)
    lowest = (ahead < more) & (ahead < less)
    highest = (ahead > more) & (ahead > less)
    way = torch.where(lowest, side, torch.where(highest, 0.0, to_more))
    new = heading + rotation * way
    return new - TURN * torch.floor(new / TURN)


def spread(trail: Float[Tensor, "m y x"], spec: PhysarumSpec) -> Float[Tensor, "m y x"]:
    """The mean of 3 x 3 points, across periodic edges, less what decays."""
    around = pad(trail[:, None], (1, 1, 1, 1), mode="circular")[:, 0]
    rows = around[:, :-2] + around[:, 1:-1] + around[:, 2:]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]).mul_((1 - spec.decay) / 9)


def occupancy(state: PhysarumState, spec: PhysarumSpec) -> Int[Tensor, "m y x"]:
    """How many agents stand on each grid point: 0 or 1."""
    counts = torch.zeros_like(state.trail, dtype=torch.long).flatten(1)
    here = points(state.agents_px, spec.shape)
    return counts.scatter_add(1, here, torch.ones_like(here)).view_as(state.trail)


def one_movie(state: PhysarumState, m: int) -> dict[str, Any]:
    """The state of movie `m` as plain numbers and tensors on the CPU, for a checkpoint."""
    return {
        "n_steps": state.n_steps,
        "trail": state.trail[m].cpu().clone(),
        "agents_px": state.agents_px[m].cpu().clone(),
        "heading": state.heading[m].cpu().clone(),
        "generator": state.generators[m].get_state().clone(),
    }


def batched(movies: Sequence[dict[str, Any]], device: torch.device | str = "cpu") -> PhysarumState:
    """The state of a batch from those of its movies, which must all stand at one step."""
    if len({movie["n_steps"] for movie in movies}) != 1:
        steps = [movie["n_steps"] for movie in movies]
        raise ValueError(f"the movies stand at steps {steps}, but a batch has one time")
    trail, agents, heading = (
        torch.stack([movie[name] for movie in movies]).to(device)
        for name in ("trail", "agents_px", "heading")
    )
    generators = tuple(Generator(device) for _ in movies)
    for generator, movie in zip(generators, movies, strict=True):
        generator.set_state(movie["generator"])
    return PhysarumState(movies[0]["n_steps"], trail, agents, heading, generators)
