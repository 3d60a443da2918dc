"""Steps of a training, computed plainly and otherwise: python -m benchmarks.arithmetic.

Every way trains a copy of the same net on the same batch, a few steps in turn; a ratio above 1 is
faster than float32, contiguous and not compiled.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, get_args

import torch

from slime.arithmetic import check_arithmetic, training_step
from slime.batch import Batch
from slime.command import run_command
from slime.devices import pick_device
from slime.errors import SlimeError
from slime.files import write_json, write_text
from slime.fit import training_loss
from slime.nets import NetKind, NetSpec, net_of
from slime.optim import OptimSpec
from slime.scale import Standardizer
from slime.settings import setting, settings_help, spec_from_words
from slime.stepper import Stepper

USAGE = "usage: python -m benchmarks.arithmetic [key=value ...]"
N_IN = 4
WAYS = {
    "plain": OptimSpec(precision="float32"),
    "channels_last": OptimSpec(precision="float32", memory_format="channels_last"),
    "bfloat16": OptimSpec(precision="bfloat16"),
    "both": OptimSpec(precision="bfloat16", memory_format="channels_last"),
    "compile": OptimSpec(precision="float32", compile=True),
}


@dataclass(frozen=True)
class ArithmeticSettings:
    """What is trained, and how often."""

    kinds: list[str] = setting(list(get_args(NetKind)), "kinds of nets, with their default sizes")
    ways: list[str] = setting(list(WAYS), "ways of computing; plain is always among them")
    size: int = setting(64, "pixels along a frame's side")
    batch_size: int = setting(8, "windows a step")
    steps: int = setting(4, "steps of a way at a time")
    rounds: int = setting(5, "turns of all ways, after one that is not counted")
    device: str = setting("auto", "auto takes cuda, then mps, then cpu")
    out: str = setting("benchmarks/results", "where the table goes")

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.steps < 1:
            raise SlimeError(f"rounds={self.rounds} and steps={self.steps} must be at least 1")
        for way in self.ways:
            if way not in WAYS:
                raise SlimeError(f"ways={way} is none of {', '.join(WAYS)}")


def measure(kind: str, settings: ArithmeticSettings, device: torch.device) -> dict[str, Any]:
    """Steps a second of each way, a number a round."""
    trainings = {}
    for way in dict.fromkeys(["plain", *settings.ways]):
        check_arithmetic(WAYS[way], device)
        trainings[way] = _training(kind, WAYS[way], settings, device)
    rates: dict[str, list[float]] = {way: [] for way in trainings}
    for number in range(settings.rounds + 1):
        for way, step in trainings.items():
            _wait(device)
            began = time.perf_counter()
            for _ in range(settings.steps):
                step()
            _wait(device)
            if number:
                rates[way].append(settings.steps / (time.perf_counter() - began))
    return rates


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _training(
    kind: str, optim: OptimSpec, settings: ArithmeticSettings, device: torch.device
) -> Callable[[], None]:
    """One step of a net that is built alike for every way."""
    torch.manual_seed(0)
    size = (settings.size, settings.size)
    net = net_of(NetSpec(kind=kind), n_in=N_IN, channels=1, size=size)  # pyright: ignore[reportArgumentType]
    stepper = Stepper(Standardizer(*(torch.ones(1) for _ in range(3))), net, "residual", N_IN)
    stepper.to(device)
    frames = torch.randn(settings.batch_size, N_IN + 1, 1, *size, device=device)
    which = torch.arange(settings.batch_size)
    batch = Batch(frames[:, :N_IN], frames[:, N_IN:], None, which, which)
    step = training_step(stepper, optim, device)
    optimizer = torch.optim.AdamW(stepper.parameters(), lr=1e-4)

    def train() -> None:
        loss = training_loss(stepper, batch, optim, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return train


def main(words: Sequence[str]) -> None:
    """Measure, and write arithmetic.md and arithmetic.json."""
    if {"-h", "--help"} & set(words):
        print(f"{USAGE}\n\n{settings_help(ArithmeticSettings)}")
        return
    settings = spec_from_words(ArithmeticSettings, words)
    device = pick_device(settings.device)
    rows = {}
    for kind in settings.kinds:
        rows[kind] = measure(kind, settings, device)
        print(_line(kind, rows[kind]), flush=True)
    ways = list(dict.fromkeys(["plain", *settings.ways]))
    lines = [
        f"Steps a second over those computed plainly, medians of {settings.rounds} turns; windows "
        f"of {N_IN} + 1 frames of {settings.size} x {settings.size}, {settings.batch_size} a step; "
        f"{device.type}, torch {torch.__version__} on {torch.get_num_threads()} threads.",
        "",
        f"| net | plain, steps a second | {' | '.join(ways[1:])} |",
        "|---|" + "---:|" * len(ways),
        *(_line(kind, rates) for kind, rates in rows.items()),
    ]
    text = "\n".join(lines) + "\n"
    told = {k: v for k, v in vars(settings).items() if k != "out"}
    write_json(Path(settings.out) / "arithmetic.json", {"settings": told, "rows": rows})
    write_text(Path(settings.out) / "arithmetic.md", text)
    print(text)


def _line(kind: str, rates: dict[str, list[float]]) -> str:
    plain = rates["plain"]
    ratios = [
        f"{median(a / b for a, b in zip(of_way, plain, strict=True)):.2f}"
        for way, of_way in rates.items()
        if way != "plain"
    ]
    return f"| {kind} | {median(plain):.1f} | {' | '.join(ratios)} |"


if __name__ == "__main__":
    run_command(main)
