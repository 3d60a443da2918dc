"""The net that learns where mounds will be: its maps, its training, its file."""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from slime.aggregation.heatmap import heat_map
from slime.aggregation.net import HeatNet
from slime.aggregation.spec import HeatSpec
from slime.aggregation.study import Study
from slime.aggregation.summaries import summary_planes, turned_planes, vector_planes
from slime.errors import SlimeError, StoreError
from slime.files import write_aside
from slime.optim import OptimSpec, learning_rate
from slime.progress import Progress

WARMUP = 0.05  # share of the steps in which the rate rises
CLIP = 1.0  # norm at which gradients are clipped


class Lessons(NamedTuple):
    """Planes and the map to be drawn from them, a row for each dish and number of frames given."""

    planes: Float32[np.ndarray, "row plane y x"]
    maps: Float32[np.ndarray, "row y x"]
    counts: Bool[np.ndarray, "row y x"]

    @property
    def n_symmetries(self) -> int:
        """Ways to turn them: 8 of squares, 4 of rectangles."""
        return 8 if self.maps.shape[1] == self.maps.shape[2] else 4


@dataclass(frozen=True)
class Trained:
    """A net as it was best on validation; losses are mean cross entropies a pixel."""

    net: HeatNet
    epoch: int
    train_loss: float
    val_loss: float


def lessons(study: Study, split: str, spec: HeatSpec) -> Lessons:
    """What the dishes of a split teach, at every number of frames given."""
    rows = [(i, given) for i in study.of(split) for given in study.given]
    return Lessons(
        np.stack([dish_planes(study, i, given) for i, given in rows]),
        np.stack([true_map(study, i, spec) for i, _ in rows]),
        np.stack([study.dishes[i].mask for i, _ in rows]),
    )


def dish_planes(study: Study, i: int, given: int) -> Float32[np.ndarray, "plane y x"]:
    """The planes of the first frames of a dish, in units of the train dishes."""
    dish = study.dishes[i]
    scaled = (dish.frames[:given] - study.mean[:, None, None]) / study.std[:, None, None]
    frames = np.where(dish.mask, scaled, 0).astype(np.float32)
    n_frames = len(dish.frames)
    return summary_planes(frames, (n_frames - given) / (n_frames - 1))


def true_map(study: Study, i: int, spec: HeatSpec) -> Float32[np.ndarray, "y x"]:
    """The map that the net should draw of a dish."""
    pixel_um = study.rule.pixel_um
    centres = study.truth[i].position_um / pixel_um
    shape = study.dishes[i].mask.shape
    return heat_map(centres, shape, spec.sigma_um / pixel_um).astype(np.float32)


def new_net(train: Lessons, spec: HeatSpec, seed: int) -> HeatNet:
    """A fresh net; vectors are scaled, never shifted, and alike along y and x."""
    mean, std = train.planes.mean(axis=(0, 2, 3)), train.planes.std(axis=(0, 2, 3))
    y_parts, x_parts = vector_planes(len(mean))
    for y, x in zip(y_parts, x_parts, strict=True):
        mean[[y, x]] = 0
        std[[y, x]] = math.sqrt(np.square(train.planes[:, [y, x]], dtype=np.float64).mean())
    std[~(std > 1e-6)] = 1
    torch.manual_seed(seed)
    size = (train.maps.shape[1], train.maps.shape[2])
    return HeatNet(torch.from_numpy(mean), torch.from_numpy(std), spec.net, size)


def fit_heat(
    train: Lessons,
    val: Lessons,
    spec: HeatSpec,
    *,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> Trained:
    """Train a net by cross entropy with the true maps, turned and mirrored at random.

    A dish has no preferred direction. Weights, order and turns depend on the seed alone.

    Raises:
        SlimeError: the loss is not finite.
    """
    net = new_net(train, spec, seed).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=spec.lr, weight_decay=spec.weight_decay)
    n_rows = len(train.maps)
    n_batches = math.ceil(n_rows / spec.batch_size)
    best, state = Trained(net, 0, math.nan, math.inf), net.state_dict()
    epochs: Any = range(spec.epochs)
    for epoch in progress(epochs, spec.epochs, f"heat net {seed}") if progress else epochs:
        draw = np.random.default_rng((seed, epoch))
        order, total = draw.permutation(n_rows), 0.0
        net.train()
        for b in range(n_batches):
            rate = _rate(epoch * n_batches + b, spec.epochs * n_batches, spec.lr)
            for group in optimizer.param_groups:
                group["lr"] = rate
            rows = order[b * spec.batch_size : (b + 1) * spec.batch_size]
            loss = _loss(net, _turned(train, rows, int(draw.integers(train.n_symmetries))), device)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP)
            optimizer.step()
            total += loss.item() * len(rows)
        val_loss = _mean_loss(net, val, spec.batch_size, device)
        if not math.isfinite(total + val_loss):
            raise SlimeError(f"the heat net's loss is not finite: a smaller heat.lr than {spec.lr}")
        if val_loss < best.val_loss:
            best = Trained(net, epoch + 1, total / n_rows, val_loss)
            state = {name: value.detach().clone() for name, value in net.state_dict().items()}
    net.load_state_dict(state)
    net.eval()
    return best


def drawn_maps(
    net: HeatNet, planes: Float32[np.ndarray, "row plane y x"], *, batch_size: int
) -> Float32[np.ndarray, "row y x"]:
    """The maps that a net draws, from 0 to 1."""
    device = net.mean.device
    net.eval()
    with torch.inference_mode():
        drawn = [
            torch.sigmoid(net(torch.from_numpy(planes[a : a + batch_size]).to(device))).cpu()
            for a in range(0, len(planes), batch_size)
        ]
    return torch.cat(drawn).numpy()


def save_heat(path: Path, trained: Trained, size: tuple[int, int], made_of: str) -> None:
    """Write a trained net aside and rename it.

    Args:
        size: height and width of a plane.
        made_of: what it was trained on.
    """
    content = {
        "made_of": made_of,
        "size": list(size),
        "epoch": trained.epoch,
        "train_loss": trained.train_loss,
        "val_loss": trained.val_loss,
        "weights": {name: value.cpu() for name, value in trained.net.state_dict().items()},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_aside(path, lambda aside: aside.write_bytes(buffer.getbuffer()))


def load_heat(path: Path, spec: HeatSpec, made_of: str, device: torch.device) -> Trained:
    """Read a net of this study.

    Raises:
        StoreError: it cannot be read.
        SlimeError: it was trained on other movies or with other settings.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        weights, written = content["weights"], content["made_of"]
    except Exception as error:
        told = " ".join(str(error).split())[:160]
        raise StoreError(f"{path} cannot be read ({told}): remove it to train it anew") from error
    if written != made_of:
        raise SlimeError(
            f"{path} was trained on other movies or settings: another out= starts a new study"
        )
    net = HeatNet(weights["mean"], weights["std"], spec.net, tuple(content["size"]))
    net.load_state_dict(weights, strict=True)
    net.to(device).eval()
    return Trained(net, content["epoch"], content["train_loss"], content["val_loss"])


def _rate(step: int, n_steps: int, highest: float) -> float:
    return learning_rate(step, n_steps, OptimSpec(lr=highest, warmup=WARMUP))


def _turned(data: Lessons, rows: np.ndarray, symmetry: int) -> Lessons:
    """Some rows under one of the symmetries of the dish."""

    def turn(maps: np.ndarray) -> np.ndarray:
        maps = maps[:, ::-1] if symmetry & 1 else maps
        maps = maps[:, :, ::-1] if symmetry & 2 else maps
        return np.ascontiguousarray(maps.transpose(0, 2, 1) if symmetry & 4 else maps)

    planes = np.stack([turned_planes(data.planes[row], symmetry) for row in rows])
    return Lessons(planes, turn(data.maps[rows]), turn(data.counts[rows]))


def _loss(net: HeatNet, data: Lessons, device: torch.device) -> Float[Tensor, ""]:
    planes, maps, counts = (torch.from_numpy(part).to(device) for part in data)
    return binary_cross_entropy_with_logits(net(planes)[counts], maps[counts])


def _mean_loss(net: HeatNet, data: Lessons, batch_size: int, device: torch.device) -> float:
    net.eval()
    total, n_rows = 0.0, len(data.maps)
    with torch.inference_mode():
        for a in range(0, n_rows, batch_size):
            part = Lessons(*(values[a : a + batch_size] for values in data))
            total += _loss(net, part, device).item() * len(part.maps)
    return total / n_rows
