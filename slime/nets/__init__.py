"""Networks that map the frames given to the next frame, in standard units.

Every net takes `b t c y x` and folds time into channels, so that a windowed variant is a number
(`n_in`), not a class; n_in=1 is the plain one.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from slime.errors import SlimeError, nearest
from slime.nets.cnn import CNN
from slime.nets.frame_mlp import FrameMLP
from slime.nets.patch_mlp import PatchMLP
from slime.settings import setting

NetKind = Literal["frame_mlp", "patch_mlp", "cnn"]


@dataclass(frozen=True)
class NetSpec:
    """Which net, how large, and what it predicts."""

    kind: NetKind = setting("cnn", "family of the net")
    head: Literal["direct", "residual"] = setting(
        "residual", "predict the next frame itself, or the change from the last one"
    )
    width: int = setting(32, "hidden features")
    depth: int = setting(4, "layers, the last one included")
    kernel: int = setting(5, "side of patch_mlp's patch in pixels (odd; 1 is per pixel)")
    dropout: float = setting(0.0, "share of hidden features left out while training")


def build_net(
    kind: str,
    *,
    n_in: int,
    channels: int,
    size: tuple[int, int] | None = None,
    width: int = 32,
    depth: int = 4,
    kernel: int = 5,
    dropout: float = 0.0,
) -> nn.Module:
    """A net of the given family for `n_in` frames of `channels` channels.

    Args:
        kind: "frame_mlp", "patch_mlp" or "cnn".
        size: (height, width) of a frame in pixels; only frame_mlp needs it.
        width: hidden features.
        depth: layers, the last one included.
        kernel: side of the patch that patch_mlp sees, in pixels; 1 is per pixel.
        dropout: share of hidden features left out while training.

    Raises:
        SlimeError: an unknown kind, or a size that the kind cannot have.
    """
    if kind not in get_args(NetKind):
        known = get_args(NetKind)
        raise SlimeError(f"net.kind={kind!r} is none of {', '.join(known)}{nearest(kind, known)}")
    for name, value in (("n_in", n_in), ("channels", channels), ("width", width)):
        if value < 1:
            raise SlimeError(f"net: {name}={value} must be at least 1")
    if depth < 2:
        raise SlimeError(f"net.depth={depth} must be at least 2: a hidden layer and the last one")
    if not 0 <= dropout < 1:
        raise SlimeError(f"net.dropout={dropout} must be at least 0 and below 1")
    if kind == "cnn":
        return CNN(n_in, channels, width=width, depth=depth, dropout=dropout)
    if kind == "patch_mlp":
        return PatchMLP(n_in, channels, width=width, depth=depth, kernel=kernel, dropout=dropout)
    if size is None:
        raise SlimeError("net.kind=frame_mlp sees whole frames: it needs size=(height, width)")
    return FrameMLP(n_in, channels, size, width=width, depth=depth, dropout=dropout)
