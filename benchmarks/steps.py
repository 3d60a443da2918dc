"""Training steps a second beside a bare loop and Lightning's: python -m benchmarks.steps.

Each trains a copy of one net on the same batches, which lie in memory, with the same arithmetic:
squared error, clipped gradients, AdamW, a rate for each step; so all must end with the same
weights, bit for bit. An epoch of each is a round; who goes first alternates.
"""

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from queue import Queue
from statistics import median
from threading import Thread
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from slime.command import run_command
from slime.errors import SlimeError
from slime.files import write_json, write_text
from slime.fit import fit
from slime.nets import NetSpec, build_net
from slime.optim import OptimSpec, learning_rate, weight_groups
from slime.pauses import Pauses
from slime.scale import Standardizer
from slime.settings import setting, settings_help, spec_from_words
from slime.stepper import Stepper, weights_hash
from slime.stream import Batch

USAGE = "usage: python -m benchmarks.steps [key=value ...]"
N_IN = 4
LEAST = {"bare loop": 0.97, "Lightning": 1.0}


@dataclass(frozen=True)
class StepSettings:
    """The nets, their batches, and how often."""

    nets: list[str] = setting(["patch_mlp", "cnn"], "nets of slime")
    size: int = setting(32, "pixels along a frame's side")
    width: int = setting(16, "hidden features of the nets")
    batch_size: int = setting(8, "windows a step")
    steps: int = setting(60, "steps a round")
    rounds: int = setting(7, "rounds of each, after one that is not counted")
    device: str = setting("cpu", "where")
    out: str = setting("benchmarks/results", "where the table goes")

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.steps < 1:
            raise SlimeError(f"rounds={self.rounds} and steps={self.steps} must be at least 1")


class Held:
    """Batches that lie in memory, the same every epoch.

    Attributes:
        seconds: from the first batch of the last epoch that was asked for to its last step's end.
    """

    def __init__(self, told: StepSettings):
        draw = torch.Generator().manual_seed(0)
        shape = (told.steps, told.batch_size, N_IN + 1, 1, told.size, told.size)
        frames = torch.randn(shape, generator=draw).to(told.device)
        number = torch.arange(told.batch_size, device=told.device)
        self.batches = [Batch(f[:, :N_IN], f[:, N_IN:], None, number, number) for f in frames]
        # on a CPU its own seconds: a busy machine takes its share of the clock's
        self.clock = time.process_time if told.device == "cpu" else time.perf_counter
        self.wait_s, self.seconds = 0.0, 0.0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        began = self.clock()
        yield from self.batches
        self.seconds = self.clock() - began

    def state_dict(self) -> dict[str, Any]:
        """Nothing to keep."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to load."""


def fresh(kind: str, told: StepSettings) -> Stepper:
    """The same weights for all."""
    torch.manual_seed(0)
    sizes = {k: v for k, v in asdict(NetSpec()).items() if k not in ("kind", "head", "width")}
    net = build_net(kind, n_in=N_IN, channels=1, width=told.width, **sizes)
    scale = Standardizer(torch.zeros(1), torch.ones(1), torch.ones(1))
    return Stepper(scale, net, "residual", N_IN).to(told.device)


def spec(told: StepSettings) -> OptimSpec:
    """What all train with."""
    epochs = told.rounds + 1
    return OptimSpec(epochs=epochs, batch_size=told.batch_size, augment=False, autocast=False)


class Contestant:
    """A loop over a copy of the net; `epoch` gives the seconds of its next epoch."""

    def __init__(self, name: str, stepper: Stepper, epochs: Iterator[float]):
        self.name, self.stepper, self._epochs = name, stepper, epochs

    def epoch(self) -> float:
        """Train an epoch."""
        return next(self._epochs)


def bare(kind: str, held: Held, told: StepSettings) -> Iterator[Contestant]:
    """The loop that one writes by hand: no check, no sum, no record."""
    stepper, optim = fresh(kind, told), spec(told)

    def epochs() -> Iterator[float]:
        optimizer = torch.optim.AdamW(weight_groups(stepper, optim), lr=optim.lr)
        n_steps, done = optim.epochs * len(held), 0
        stepper.train()
        for _ in range(optim.epochs):
            for batch in held:
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(done, n_steps, optim)
                loss = (stepper(batch.past) - batch.future[:, 0]).square().mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(stepper.parameters(), optim.clip)
                optimizer.step()
                done += 1
            yield held.seconds

    yield Contestant("bare loop", stepper, epochs())


def ours(kind: str, held: Held, told: StepSettings) -> Iterator[Contestant]:
    """slime.fit as a run uses it, ready to save within epochs; validation is not counted."""
    stepper = fresh(kind, told)
    records = fit(stepper, held, held.batches[:1], spec(told), pauses=Pauses(print, 1e9))
    yield Contestant("slime", stepper, (held.seconds for _ in records))


def lightning(kind: str, held: Held, told: StepSettings) -> Iterator[Contestant]:
    """Lightning's Trainer without logger, bar and checkpoints, in a thread that waits its turn."""
    import lightning

    stepper, optim = fresh(kind, told), spec(told)
    turn, seconds = Queue[bool](), Queue[float]()
    n_steps = optim.epochs * len(held)

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.stepper = stepper

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(weight_groups(stepper, optim), lr=optim.lr)

        def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
            nn.utils.clip_grad_norm_(stepper.parameters(), optim.clip)

        def on_train_epoch_start(self) -> None:
            turn.get()
            self.began = held.clock()

        def training_step(self, batch: Batch, _: int) -> Tensor:
            for group in self.trainer.optimizers[0].param_groups:
                group["lr"] = learning_rate(self.global_step, n_steps, optim)
            return (stepper(batch.past) - batch.future[:, 0]).square().mean()

        def on_train_epoch_end(self) -> None:
            seconds.put(held.clock() - self.began)

    def train() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = lightning.Trainer(
                max_epochs=optim.epochs,
                accelerator="gpu" if "cuda" in told.device else "cpu",
                devices=1,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.fit(Module(), DataLoader(held.batches, batch_size=None))

    def epochs() -> Iterator[float]:
        thread = Thread(target=train, daemon=True)
        thread.start()
        for _ in range(optim.epochs):
            turn.put(True)
            yield seconds.get(timeout=300)
        thread.join(60)

    yield Contestant("Lightning", stepper, epochs())


def measure(kind: str, told: StepSettings) -> dict[str, list[float]]:
    """Seconds of every round of each; all have ended with the same weights.

    Raises:
        RuntimeError: two have not.
    """
    held = Held(told)
    makers = [ours, bare, *([lightning] if find_spec("lightning") else [])]
    loops = [contestant for make in makers for contestant in make(kind, held, told)]
    rounds: dict[str, list[float]] = {loop.name: [] for loop in loops}
    for number in range(told.rounds + 1):
        shift = number % len(loops)  # who goes first changes
        for loop in loops[shift:] + loops[:shift]:
            rounds[loop.name].append(loop.epoch())
    hashes = {loop.name: weights_hash(loop.stepper.state_dict()) for loop in loops}
    if len(set(hashes.values())) > 1:
        raise RuntimeError(f"{kind}: the loops did not train the same net: {hashes}")
    return {name: seconds[1:] for name, seconds in rounds.items()}


def main(words: Sequence[str]) -> None:
    """Measure, and write steps.md and steps.json."""
    if {"-h", "--help"} & set(words):
        print(f"{USAGE}\n\n{settings_help(StepSettings)}")
        return
    told = spec_from_words(StepSettings, words)
    rows = []
    for kind in told.nets:
        rounds = measure(kind, told)
        rates = {name: told.steps / median(seconds) for name, seconds in rounds.items()}
        for other, least in LEAST.items():
            if other not in rounds:
                continue
            pairs = zip(rounds[other], rounds["slime"], strict=True)
            ratio = median(theirs / mine for theirs, mine in pairs)
            row = {"net": kind, "beside": other, "ratio": ratio, "least": least}
            rows.append({**row, "steps_per_s": rates["slime"], "their_steps_per_s": rates[other]})
            print(_line(rows[-1]), flush=True)
    _tell(told, rows)


def _tell(told: StepSettings, rows: Sequence[dict[str, Any]]) -> None:
    lines = [
        f"Batches of {told.batch_size} windows of {N_IN} + 1 frames of {told.size} x {told.size}, "
        f"nets of width {told.width}; torch on {torch.get_num_threads()} threads of {told.device}; "
        f"medians over {told.rounds} rounds of {told.steps} steps, ratios within a round; on a CPU "
        "per second of processor time. All loops end with the same weights, bit for bit.",
        "",
        "| net | beside | slime, steps/s | theirs | ratio | goal |",
        "|---|---|---:|---:|---:|---:|",
        *map(_line, rows),
    ]
    text = "\n".join(lines) + "\n"
    kept = {k: v for k, v in vars(told).items() if k != "out"}
    write_json(Path(told.out) / "steps.json", {"settings": kept, "rows": rows})
    write_text(Path(told.out) / "steps.md", text)
    print(text)


def _line(row: dict[str, Any]) -> str:
    verdict = "met" if row["ratio"] >= row["least"] else "missed"
    rates = f"{row['steps_per_s']:.1f} | {row['their_steps_per_s']:.1f}"
    goal = f">= {row['least']}: {verdict}"
    return f"| {row['net']} | {row['beside']} | {rates} | {row['ratio']:.3f} | {goal} |"


if __name__ == "__main__":
    run_command(main)
