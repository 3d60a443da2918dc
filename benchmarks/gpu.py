"""What must hold on a GPU, asked of the one that is here: make gpu.

Losses equal to the CPU's, frames that lie on the device, steps that never wait for it, and windows
a second in float32 and bfloat16. Without a GPU one line says so.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr

from slime.command import run_command
from slime.epoch_sums import Sums
from slime.errors import SlimeError
from slime.fit import fit
from slime.nets import NetSpec, net_of
from slime.optim import OptimSpec
from slime.ranks import ALONE
from slime.scale import Standardizer
from slime.settings import setting, settings_help, spec_from_words
from slime.split import Split
from slime.stepper import Stepper
from slime.stream import WindowStream
from slime.training import Training
from slime.windows import WindowSpec

USAGE = "usage: python -m benchmarks.gpu [key=value ...]"
WINDOWS = WindowSpec(n_in=4)
SPLIT = Split("train", 0, 80)
TOLERANCE = 1e-3  # of losses after two epochs in float32: sums in another order


@dataclass(frozen=True)
class GpuSettings:
    """The net and the frames of the checks."""

    device: str = setting("cuda", "which")
    net: str = setting("cnn", "the net, of 32 features")
    size: int = setting(128, "pixels along a frame's side")
    batch_size: int = setting(16, "windows a step")


@dataclass(frozen=True)
class Found:
    """What a check came to."""

    name: str
    passed: bool
    says: str


def film(size: int) -> xr.DataArray:
    """A wave that moves under noise, as counts of a camera."""
    draw = np.random.default_rng(0)
    t, _, x = np.mgrid[:100, :size, :size]
    frames = 1000 + 400 * np.sin(x / 5 - t / 3) + draw.normal(0, 20, t.shape)
    return xr.DataArray(frames[:, None].astype("uint16"), dims=("time", "channel", "y", "x"))


class Bench:
    """A film, and fresh steppers and streams of it on any device."""

    def __init__(self, told: GpuSettings):
        self.told, self.movie = told, film(told.size)
        self.scale = Standardizer.fit([self.movie], [SPLIT])

    def stream(self, device: torch.device, *, val: bool = False) -> WindowStream:
        """Windows to train on, or to validate."""
        split, seed = (Split("val", 84, 100), None) if val else (SPLIT, 0)
        size = self.told.batch_size
        return WindowStream(
            [self.movie], [split], WINDOWS, batch_size=size, seed=seed, device=device
        )

    def stepper(self, device: torch.device) -> Stepper:
        """The same weights on every device."""
        torch.manual_seed(0)
        net = net_of(NetSpec(kind=self.told.net), n_in=4, channels=1, size=(self.told.size,) * 2)
        scale = Standardizer(*(v.clone() for v in self.scale.buffers()))
        return Stepper(scale, net, "residual", 4).to(device)

    def losses(self, device: torch.device, optim: OptimSpec) -> list[float]:
        """Train and validation losses of the epochs."""
        val = self.stream(device, val=True)
        records = fit(self.stepper(device), self.stream(device), val, optim)
        return [loss for record in records for loss in (record.train_loss, record.val_loss)]


def check_losses(bench: Bench, device: torch.device) -> Found:
    """Two epochs in float32 come to the CPU's losses."""
    optim = OptimSpec(epochs=2, batch_size=bench.told.batch_size, precision="float32")
    with full_float32():
        here, there = (bench.losses(d, optim) for d in (torch.device("cpu"), device))
    off = max(abs(a - b) / abs(a) for a, b in zip(here, there, strict=True))
    says = f"losses differ from the CPU's by {off:.1e}, at most {TOLERANCE:.0e}"
    return Found("losses", off <= TOLERANCE, says)


def check_resident(bench: Bench, device: torch.device) -> Found:
    """Batches are gathered where the frames lie."""
    stream = bench.stream(device)
    batch = next(iter(stream))
    there = batch.past.device.type == device.type and f"held on {device}" in stream.description()
    return Found("resident", there, stream.description())


def check_waits(bench: Bench, device: torch.device) -> Found:
    """Steps, from the batch asked for to the weights moved, wait for nothing on the device."""
    optim = OptimSpec(epochs=1, batch_size=bench.told.batch_size, ema=0.99, noise=0.1)
    training = Training(bench.stepper(device), optim, seed=0, ranks=ALONE, resume=None)
    sums, noise = Sums.to_begin(device), training.noise(0)
    training.stepper.train()
    batches = iter(bench.stream(device))
    n_steps = len(bench.stream(device))
    step = 0
    try:
        for step in range(n_steps):
            # the first ones choose kernels and reserve memory
            with no_waits() if step >= 2 else nullcontext():
                training.gradients.add(training.seen(next(batches), 1, noise))
                training.step(step, n_steps, sums)
    except RuntimeError as error:
        return Found("waits", False, f"step {step + 1}: {' '.join(str(error).split())[:160]}")
    return Found("waits", True, f"{n_steps - 2} steps without waiting for the device")


def throughput(bench: Bench, device: torch.device, precision: str) -> Found:
    """Windows a second of the second epoch."""
    told = bench.told
    optim = OptimSpec(epochs=2, batch_size=told.batch_size)
    optim = replace(optim, precision=precision, memory_format="channels_last")
    stream, val = bench.stream(device), bench.stream(device, val=True)
    *_, last = fit(bench.stepper(device), stream, val, optim)
    rate = f"{last.windows_per_s:.0f} windows/s of {told.size} x {told.size} in {precision}"
    return Found("speed", last.windows_per_s > 0, f"{told.net}: {rate}")


@contextmanager
def full_float32() -> Iterator[None]:
    """Products of all 24 bits, as the CPU's."""
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


@contextmanager
def no_waits() -> Iterator[None]:
    """Whatever waits for the GPU in here is an error."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def main(words: Sequence[str]) -> int:
    """Ask all; 1 where one failed, 0 without a GPU."""
    if {"-h", "--help"} & set(words):
        print(f"{USAGE}\n\n{settings_help(GpuSettings)}")
        return 0
    told = spec_from_words(GpuSettings, words)
    if not torch.cuda.is_available():
        print("no GPU here: nothing is checked")
        return 0
    device = torch.device(told.device)
    if device.type != "cuda":
        raise SlimeError(f"device={told.device} must be cuda, or cuda:N")
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}")
    bench, began = Bench(told), time.perf_counter()
    checks = [check_losses, check_resident, check_waits]
    found = [check(bench, device) for check in checks]
    found += [throughput(bench, device, precision) for precision in ("float32", "bfloat16")]
    for one in found:
        print(f"  {'passed' if one.passed else 'FAILED'}  {one.name:10} {one.says}")
    print(f"{time.perf_counter() - began:.0f} s")
    return 0 if all(one.passed for one in found) else 1


if __name__ == "__main__":
    run_command(main)
