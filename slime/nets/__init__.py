"""Networks that map the frames given to the next frame, in standard units.

Every net takes `b t c y x` and folds time into channels, so that a windowed variant is a number
(`n_in`), not a class; n_in=1 is the plain one.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal, get_args

from torch import nn

from slime.errors import SlimeError, nearest
from slime.nets.cnn import CNN
from slime.nets.conv import Edges
from slime.nets.convgru import ConvGRU
from slime.nets.fno import FNO
from slime.nets.frame_mlp import FrameMLP
from slime.nets.patch_mlp import PatchMLP
from slime.nets.resnet import DilatedResNet
from slime.nets.unet import UNet
from slime.settings import setting

NetKind = Literal[
    "frame_mlp",
    "patch_mlp",
    "cnn",
    "unet",
    "unet_convnext",
    "dilated_resnet",
    "convgru",
    "fno",
]
FAMILIES: dict[str, Callable[..., nn.Module]] = {
    "patch_mlp": PatchMLP,
    "cnn": CNN,
    "unet": partial(UNet, convnext=False),
    "unet_convnext": partial(UNet, convnext=True),
    "dilated_resnet": DilatedResNet,
    "convgru": ConvGRU,
    "fno": FNO,
}  # beside frame_mlp, which alone is built for a size
SHALLOWEST = {"dilated_resnet": 3, "convgru": 3, "fno": 3}  # 2 of the others


@dataclass(frozen=True)
class NetSpec:
    """Which net, how large, and what it predicts."""

    kind: NetKind = setting("cnn", "family of the net")
    head: Literal["direct", "residual", "gated"] = setting(
        "residual",
        "predict the next frame itself, the change from the last one, or (gated) learn how much of "
        "the last one stays",
    )
    width: int = setting(32, "hidden features")
    depth: int = setting(
        4, "layers, first and last included; resolutions of a unet; blocks or cells, and 2"
    )
    kernel: int = setting(5, "side of patch_mlp's patch in pixels (odd; 1 is per pixel)")
    modes: int = setting(12, "waves that fno keeps along each axis")
    dropout: float = setting(0.0, "share of hidden features left out while training")
    edges: Edges = setting(
        "replicate", "beyond a frame lies its rim, or (circular, for a torus) its other side"
    )


def net_of(
    spec: NetSpec, *, n_in: int, channels: int, size: tuple[int, int] | None = None
) -> nn.Module:
    """The net of a spec; see build_net. Its head is not the net's."""
    sizes = {name: value for name, value in asdict(spec).items() if name not in ("kind", "head")}
    return build_net(spec.kind, n_in=n_in, channels=channels, size=size, **sizes)


def build_net(
    kind: str,
    *,
    n_in: int,
    channels: int,
    size: tuple[int, int] | None = None,
    width: int = 32,
    depth: int = 4,
    kernel: int = 5,
    modes: int = 12,
    dropout: float = 0.0,
    edges: str = "replicate",
) -> nn.Module:
    """A net of the given family for `n_in` frames of `channels` channels.

    Args:
        kind: one of NetKind.
        size: (height, width) of a frame in pixels; only frame_mlp needs it.
        width: hidden features; of a U-Net's finest resolution.
        depth: layers, the first and last included; a U-Net's resolutions; the blocks of
            dilated_resnet, the recurrent layers of convgru and the Fourier layers of fno, and 2.
        kernel: side of the patch that patch_mlp sees, in pixels; 1 is per pixel.
        modes: waves that fno keeps along each axis.
        dropout: share of hidden features left out while training.
        edges: what lies beyond a frame, "replicate" or "circular"; frame_mlp looks at no
            neighbours.

    Raises:
        SlimeError: an unknown kind, or a size that the kind cannot have.
    """
    for name, value, known in (
        ("kind", kind, get_args(NetKind)),
        ("edges", edges, get_args(Edges)),
    ):
        if value not in known:
            names = ", ".join(known)
            raise SlimeError(f"net.{name}={value!r} is none of {names}{nearest(value, known)}")
    for name, value in (("n_in", n_in), ("channels", channels), ("width", width)):
        if value < 1:
            raise SlimeError(f"net: {name}={value} must be at least 1")
    least = SHALLOWEST.get(kind, 2)
    if depth < least:
        raise SlimeError(f"net.depth={depth} must be at least {least} for net.kind={kind}")
    if not 0 <= dropout < 1:
        raise SlimeError(f"net.dropout={dropout} must be at least 0 and below 1")
    sizes: dict[str, Any] = {"width": width, "depth": depth, "dropout": dropout}
    if kind == "frame_mlp":
        if size is None:
            raise SlimeError("net.kind=frame_mlp sees whole frames: it needs size=(height, width)")
        return FrameMLP(n_in, channels, size, **sizes)
    more = {"patch_mlp": {"kernel": kernel}, "fno": {"modes": modes}}.get(kind, {})
    return FAMILIES[kind](n_in, channels, edges=edges, **sizes, **more)
