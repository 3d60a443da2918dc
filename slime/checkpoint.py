"""A trained stepper in one file: plain tensors and numbers, with a checksum, read back strictly."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from slime.errors import SlimeError, StoreError
from slime.files import write_aside
from slime.nets import NetSpec, net_of
from slime.optim import OptimSpec
from slime.scale import Standardizer
from slime.stepper import Stepper, weights_hash
from slime.stream import WindowStream
from slime.windows import WindowSpec

FORMAT = 1


@dataclass(frozen=True)
class Shape:
    """What a stepper was built for: frames given, their channels, size in pixels, and units."""

    n_in: int
    channels: tuple[str, ...]
    height: int
    width: int
    step: int = 1
    frame_interval_s: float | None = None
    pixel_um: float | None = None


@dataclass(frozen=True)
class SavedRun:
    """A checkpoint as loaded: the stepper in eval mode, what it was built for, and its config."""

    stepper: Stepper
    net: NetSpec
    shape: Shape
    config: str
    epoch: int
    weights_hash: str
    resume: dict[str, Any] | None


def shape_of(spec: WindowSpec, train: WindowStream) -> Shape:
    """What a net must be built for to be trained on a stream."""
    movie = train.movies[0]
    height, width = train.crop or (movie.sizes["y"], movie.sizes["x"])
    return Shape(
        spec.n_in,
        tuple(str(c) for c in movie["channel"].values),
        height,
        width,
        spec.step,
        movie.attrs.get("frame_interval_s"),
        movie.attrs.get("pixel_um"),
    )


def build_stepper(net: NetSpec, shape: Shape, scale: Standardizer) -> Stepper:
    """A fresh stepper; weights are drawn from torch's current state."""
    built = net_of(
        net,
        n_in=shape.n_in,
        channels=len(shape.channels),
        size=(shape.height, shape.width),
    )
    return Stepper(scale, built, net.head, shape.n_in)


def stopped_early(saved: SavedRun | None, optim: OptimSpec) -> bool:
    """Whether a run's training had ended by patience before it was saved."""
    return bool(saved and saved.resume and saved.resume["epochs_since_best"] >= optim.patience)


def save_run(
    path: Path,
    stepper: Stepper,
    *,
    net: NetSpec,
    shape: Shape,
    config: str = "",
    epoch: int = 0,
    resume: Mapping[str, Any] | None = None,
) -> str:
    """Write a checkpoint aside, flush and rename; gives the hash of its weights.

    `resume` is what `fit` needs to go on (Record.resume).
    """
    state = {name: value.detach().cpu() for name, value in stepper.state_dict().items()}
    content = {
        "format": FORMAT,
        "net": asdict(net),
        "shape": {**asdict(shape), "channels": list(shape.channels)},
        "config": config,
        "epoch": epoch,
        "weights": state,
        "weights_hash": weights_hash(state),
        "resume": dict(resume) if resume is not None else None,
    }
    buffer = (
        io.BytesIO()
    )  # torch tells of a full disk in an error of its own; a file, in an OSError
    torch.save(content, buffer)
    write_aside(Path(path), lambda aside: aside.write_bytes(buffer.getbuffer()))
    return content["weights_hash"]


def load_run(path: Path | str, *, device: str | torch.device = "cpu") -> SavedRun:
    """Read a checkpoint, or the best one of a run's folder.

    Raises:
        SlimeError: there is none.
        StoreError: it is damaged (truncated, a flipped bit), or no checkpoint of this format.
    """
    path = Path(path)
    file = path / "best.pt" if path.is_dir() else path
    if not file.exists():
        raise SlimeError(f"there is no checkpoint {file}: train first, or name a run's folder")
    content = _read(file)
    net = NetSpec(**content["net"])
    shape = Shape(**{**content["shape"], "channels": tuple(content["shape"]["channels"])})
    n_channels = len(shape.channels)
    blank_scale = Standardizer(*(torch.ones(n_channels) for _ in range(3)))
    stepper = build_stepper(net, shape, blank_scale)
    stepper.load_state_dict(content["weights"], strict=True)
    return SavedRun(
        stepper.to(device).eval(),
        net,
        shape,
        content["config"],
        content["epoch"],
        content["weights_hash"],
        content["resume"],
    )


def _read(file: Path) -> dict[str, Any]:
    raw = file.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"its part {damaged} fails its checksum")
        content = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
        if content.get("format") != FORMAT:
            raise ValueError(f"format {content.get('format')!r}, where {FORMAT} is read")
        if weights_hash(content["weights"]) != content["weights_hash"]:
            raise ValueError("its weights do not match their hash")
    except Exception as error:
        told = " ".join(str(error).split())[:200]
        raise StoreError(f"checkpoint {file} cannot be used: {told}") from error
    return content
