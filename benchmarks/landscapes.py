"""Loss planes beside public tools and the bare forward passes: python -m benchmarks.landscapes.

One thread, contestants in turn, each on a copy of the same net and the same windows; CPU time a
grid point, medians over rounds; ratios are taken within a round.
"""

import copy
import importlib.metadata
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch

from benchmarks.landscape_tools import CONTESTANTS, PEERS, Case
from slime.command import run_command
from slime.errors import SlimeError
from slime.files import write_json, write_text
from slime.landscape import hessian_spectrum
from slime.nets import build_net
from slime.scale import Standardizer
from slime.settings import setting, settings_help, spec_from_words
from slime.stepper import Stepper

USAGE = "usage: python -m benchmarks.landscapes [key=value ...]"
N_WINDOWS = 256
SIDE = 21  # points of the plane that a Hessian is compared with
TOP_WINDOWS = 64


class Goal(NamedTuple):
    """A ratio within a round, and the bound that it is to keep."""

    case: str
    text: str
    over: str  # a contestant, or "best peer"
    bound: float
    at_most: bool = False  # slime's time over the other's; else the other's over slime's


GOALS = (
    Goal("MLP 64-128-64", "slime / forward passes alone", "forward passes alone", 0.65, True),
    Goal("MLP 64-128-64", "best peer / slime", "best peer", 2),
    Goal("MLP 64-128-64", "usual loop / slime", "usual loop", 20),
    Goal("CNN 4-32-32-1", "slime / forward passes alone", "forward passes alone", 1.05, True),
    Goal("CNN 4-32-32-1", "best peer / slime", "best peer", 1.45),
)


@dataclass(frozen=True)
class LandscapeSettings:
    """How many points, and how often."""

    mlp_side: int = setting(21, "points a side of the MLP's plane")
    cnn_side: int = setting(3, "points a side of the CNN's plane")
    mlp_rounds: int = setting(9, "turns of all contestants, after one that is not counted")
    cnn_rounds: int = setting(3, "the same for the CNN")
    size: int = setting(64, "pixels along a side of the CNN's frames")
    hessian: bool = setting(True, "also the CNN's top three eigenvalues")
    out: str = setting("benchmarks/results", "where the table goes")

    def __post_init__(self) -> None:
        for name in ("mlp_rounds", "cnn_rounds"):
            if getattr(self, name) < 1:
                raise SlimeError(f"{name}={getattr(self, name)} must be at least 1")


def mlp() -> Case:
    """The frame MLP on 8 x 8 pixels; one batch of all windows serves every tool best."""
    net = build_net("frame_mlp", n_in=1, channels=1, size=(8, 8), width=128, depth=2)
    return _case(net, n_in=1, size=8, fed=N_WINDOWS)


def cnn(size: int) -> Case:
    """Three layers of 3 x 3 and a stencil of 5 x 5; batches of 32 serve the tools best."""
    return _case(build_net("cnn", n_in=4, channels=1, width=32, depth=3), n_in=4, size=size, fed=32)


def _case(net: torch.nn.Module, *, n_in: int, size: int, fed: int) -> Case:
    scale = Standardizer(*(torch.ones(1) for _ in range(3)))
    past = torch.randn(N_WINDOWS, n_in, 1, size, size)
    return Case(Stepper(scale, net, "residual", n_in).eval(), past, past[:, -1] + 1, fed)


def measure(case: Case, side: int, rounds: int) -> list[dict[str, float]]:
    """CPU milliseconds a point of each contestant that is installed, a dictionary a round."""
    taken = []
    for number in range(rounds + 1):
        row = {}
        for name, contestant in CONTESTANTS.items():
            if not contestant.missing:
                stepper = copy.deepcopy(case.stepper)
                row[name] = _timed(contestant.plane(case._replace(stepper=stepper)), side)
        if number:
            taken.append(row)
    return taken


def _timed(plane: Callable[[int], Any], side: int) -> float:
    began = time.process_time()
    plane(side)
    return (time.process_time() - began) / side**2 * 1e3


def goal_rows(rounds: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """What each goal came to, as the median of its ratios within rounds; None without a peer."""
    rows = []
    for goal in GOALS:
        ratios = [ratio for row in rounds[goal.case] if (ratio := _ratio(goal, row)) is not None]
        value = median(ratios) if ratios else None
        kept = value is not None and (value <= goal.bound if goal.at_most else value >= goal.bound)
        rows.append({**goal._asdict(), "value": value, "met": kept})
    return rows


def _ratio(goal: Goal, row: dict[str, float]) -> float | None:
    peers = [row[name] for name in PEERS if name in row]
    if goal.over == "best peer":
        return min(peers) / row["slime"] if peers else None
    ratio = row[goal.over] / row["slime"]
    return 1 / ratio if goal.at_most else ratio


def top_three(case: Case) -> float:
    """CPU seconds for the three largest eigenvalues on the first windows."""
    few = case._replace(past=case.past[:TOP_WINDOWS], future=case.future[:TOP_WINDOWS])
    began = time.process_time()
    hessian_spectrum(case.stepper, few.batches, n_top=3, n_bottom=0, n_probes=0)
    return time.process_time() - began


def main(words: Sequence[str]) -> None:
    """Measure, and write landscapes.md and landscapes.json."""
    if {"-h", "--help"} & set(words):
        print(f"{USAGE}\n\n{settings_help(LandscapeSettings)}")
        return
    settings = spec_from_words(LandscapeSettings, words)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    large = cnn(settings.size)
    rounds = {
        "MLP 64-128-64": measure(mlp(), settings.mlp_side, settings.mlp_rounds),
        "CNN 4-32-32-1": measure(large, settings.cnn_side, settings.cnn_rounds),
    }
    _tell(settings, rounds, top_three(large) if settings.hessian else None)


def _tell(
    settings: LandscapeSettings, rounds: dict[str, list[dict[str, float]]], top_s: float | None
) -> None:
    names = [name for name in CONTESTANTS if name in rounds["MLP 64-128-64"][0]]
    medians = {
        case: {n: median(r[n] for r in rows) for n in names} for case, rows in rounds.items()
    }
    goals = goal_rows(rounds)
    plane_s = medians["CNN 4-32-32-1"]["slime"] * SIDE**2 / 1e3
    if top_s is not None:
        text = f"top 3 eigenvalues on {TOP_WINDOWS} windows / a plane of {SIDE} x {SIDE}"
        told = {"case": "CNN 4-32-32-1", "text": text, "bound": 1, "at_most": True}
        goals.append({**told, "value": top_s / plane_s, "met": top_s < plane_s})
    lines = [
        f"CPU milliseconds a grid point, {N_WINDOWS} windows; torch {torch.__version__} on one "
        f"thread; medians of {settings.mlp_rounds} and {settings.cnn_rounds} rounds.",
        "",
        f"| | MLP 64-128-64 | CNN 4-32-32-1, {settings.size} x {settings.size} |",
        "|---|---:|---:|",
        *(f"| {n} | {' | '.join(f'{medians[c][n]:.3f}' for c in rounds)} |" for n in names),
        "",
        "| goal | ratio | wanted |",
        "|---|---:|---|",
        *map(_goal_line, goals),
    ]
    if top_s is not None:
        lines += ["", f"Top three eigenvalues: {top_s:.1f} s; the plane: {plane_s:.0f} s."]
    text = "\n".join(lines) + "\n"
    kept = {k: v for k, v in vars(settings).items() if k != "out"}
    versions = {c.needs: _version(c.needs) for c in CONTESTANTS.values() if not c.missing}
    told = {"settings": kept, "versions": versions, "rounds": rounds, "goals": goals}
    write_json(Path(settings.out) / "landscapes.json", {**told, "top_three_s": top_s})
    write_text(Path(settings.out) / "landscapes.md", text)
    print(text)


def _goal_line(row: dict[str, Any]) -> str:
    value = "-" if row["value"] is None else f"{row['value']:.2f}"
    verdict = "met" if row["met"] else "missed"
    sign = "<=" if row["at_most"] else ">="
    return f"| {row['case']}: {row['text']} | {value} | {sign} {row['bound']}: {verdict} |"


def _version(module: str) -> str:
    named = importlib.metadata.packages_distributions().get(module, [module])
    return importlib.metadata.version(named[0])


if __name__ == "__main__":
    run_command(main)
