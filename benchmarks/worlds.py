"""How fast the worlds are simulated, beside loops that numba compiles, and in how much memory.

python -m benchmarks.worlds
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.agents import compiled_dish, torch_dish
from benchmarks.lattices import contestants
from benchmarks.worlds_memory import WANTED, measure_peaks, peak_lines
from slime.command import run_command
from slime.errors import SlimeError
from slime.files import write_json, write_text
from slime.settings import setting, settings_help, spec_from_words
from slime.simulate.kernel import NoKernelError
from slime.simulate.physarum_spec import PhysarumSpec

USAGE = "usage: python -m benchmarks.worlds [key=value ...]"
LATTICES = (("Martiel-Goldbeter", 256), ("Martiel-Goldbeter", 512), ("Sgro", 256))
COMPILED, BY_HAND, AGENTS = "compiled", "numba, by hand", "slime, torch"
Rates = dict[str, list[float]]  # a second, of each contestant, round by round


@dataclass(frozen=True)
class WorldsSettings:
    """The dishes and how often."""

    size: int = setting(200, "grid points along the side of the Physarum dish")
    steps: int = setting(300, "steps of the agents in a round")
    updates: int = setting(30_000_000, "cell updates of a lattice in a round")
    frames: int = setting(100, "frames of the shorter movie whose memory is measured")
    movie_size: int = setting(64, "pixels along its side")
    rounds: int = setting(5, "rounds, contestants in turn")
    out: str = setting("benchmarks/results", "where the table goes")

    def __post_init__(self) -> None:
        if min(self.steps, self.rounds, self.updates, self.frames) < 1 or self.size < 20:
            raise SlimeError(
                f"size={self.size} steps={self.steps} updates={self.updates} frames={self.frames} "
                f"rounds={self.rounds}: the first must be at least 20, the others at least 1"
            )


def in_turn(gos: Mapping[str, Callable[[int], Any]], n_steps: int, n: int, rounds: int) -> Rates:
    """Things (n of them a step) done in a second of CPU time, contestants in turn.

    CPU time of this one thread, since the cores of a machine at work are shared.
    """
    rates: Rates = {name: [] for name in gos}
    for _ in range(rounds):
        for name, go in gos.items():
            began = time.process_time()
            go(n_steps)
            rates[name].append(n * n_steps / (time.process_time() - began))
    return rates


def agent_rates(settings: WorldsSettings, with_numba: bool) -> Rates:
    """Agents moved a second by Physarum."""
    spec = PhysarumSpec(height_px=settings.size, width_px=settings.size)
    gos = {AGENTS: torch_dish(spec)}
    if with_numba:
        gos["numba, agents in turn"] = compiled_dish(spec)
    for go in gos.values():
        go(100)  # compiled, and a network formed
    return in_turn(gos, settings.steps, spec.n_agents, settings.rounds)


def lattice_rates(world: str, size: int, settings: WorldsSettings, with_numba: bool) -> Rates:
    """Cell updates a second of one lattice; without the contestants that cannot be had."""
    gos = {}
    for name, make in contestants(world, size).items():
        if name == BY_HAND and not with_numba:
            continue
        try:
            gos[name] = make()
        except NoKernelError:
            continue
    n_steps = 2 * -(-settings.updates // (2 * size**2))  # fields lie in two places in turn
    for go in gos.values():
        go(2)
    return in_turn(gos, n_steps, size**2, settings.rounds)


def main(words: Sequence[str]) -> None:
    """Measure, and write worlds.md and worlds.json."""
    if {"-h", "--help"} & set(words):
        print(f"{USAGE}\n\n{settings_help(WorldsSettings)}")
        return
    settings = spec_from_words(WorldsSettings, words)
    with_numba = find_spec("numba") is not None
    lattices = {
        f"{world}, {size} x {size}": lattice_rates(world, size, settings, with_numba)
        for world, size in LATTICES
    }
    agents = agent_rates(settings, with_numba)
    peaks = list(measure_peaks(settings.frames, settings.movie_size, settings.rounds))
    goals = _goals(lattices, peaks)
    parts = [
        _lattice_lines(lattices),
        _agent_lines(agents, settings),
        peak_lines(peaks, settings.movie_size),
        _goal_lines(goals),
    ]
    text = "\n\n".join("\n".join(lines) for lines in parts) + "\n"
    rates = {"agents_per_s": agents, "cell_updates_per_s": lattices}
    write_json(Path(settings.out) / "worlds.json", {"goals": goals, **rates, "memory": peaks})
    write_text(Path(settings.out) / "worlds.md", text)
    print(text)


def ratio(rates: Rates, one: str, other: str) -> float | None:
    """The median over rounds of one contestant's rate to another's; None without one of them."""
    if one not in rates or other not in rates:
        return None
    return median(a / b for a, b in zip(rates[one], rates[other], strict=True))


def _goals(lattices: Mapping[str, Rates], peaks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    goals = []
    for name, rates in lattices.items():
        value = ratio(rates, COMPILED, BY_HAND)
        met = None if value is None else value >= 1
        goals.append({"goal": f"{name}: compiled / numba", "wanted": ">= 1", "value": value})
        goals[-1]["met"] = met
    for row in (row for row in peaks if row["frames"] > min(r["frames"] for r in peaks)):
        goal = f"{row['world']}: memory of {row['frames']} frames / of the shorter movie"
        met = row["ratio"] <= WANTED
        goals.append({"goal": goal, "wanted": f"<= {WANTED}", "value": row["ratio"], "met": met})
    return goals


def _goal_lines(goals: Sequence[dict[str, Any]]) -> list[str]:
    said = {True: "met", False: "missed", None: "not measured"}
    found = ["" if g["value"] is None else f"{g['value']:.2f}" for g in goals]
    rows = [
        f"| {g['goal']} | {g['wanted']} | {value} | {said[g['met']]} |"
        for g, value in zip(goals, found, strict=True)
    ]
    return ["| goal | wanted | found | |", "|---|---|---:|---|", *rows]


def _lattice_lines(lattices: Mapping[str, Rates]) -> list[str]:
    lines = [
        "Lattices, float32, one core; seconds are CPU time.",
        "",
        "| lattice | steps by | million cell updates a second | to numba |",
        "|---|---|---:|---:|",
    ]
    for lattice, rates in lattices.items():
        for name, found in rates.items():
            value = ratio(rates, name, BY_HAND)
            to_numba = "" if value is None else f"{value:.2f}"
            lines.append(f"| {lattice} | {name} | {median(found) / 1e6:.0f} | {to_numba} |")
    absent = {COMPILED, BY_HAND} - {name for rates in lattices.values() for name in rates}
    return lines + (["", f"Left out here: {', '.join(sorted(absent))}."] if absent else [])


def _agent_lines(rates: Rates, settings: WorldsSettings) -> list[str]:
    spec = PhysarumSpec(height_px=settings.size, width_px=settings.size)
    lines = [
        f"Physarum, {spec.n_agents} agents on {spec.height_px} x {spec.width_px}, one core.",
        "",
        "| contestant | million agent steps a second | to slime |",
        "|---|---:|---:|",
    ]
    for name, found in rates.items():
        lines.append(f"| {name} | {median(found) / 1e6:.2f} | {ratio(rates, name, AGENTS):.2f} |")
    if len(rates) == 1:
        lines += ["", "numba is not installed; the loop over agents was left out."]
    return lines


if __name__ == "__main__":
    run_command(main)
