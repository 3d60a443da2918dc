"""The Well's U-Net ConvNeXt and FNO (the package the_well), as nets that slime can train.

They get what ours get: standard units, frames given folded into channels, a residual or a direct
head, edges that fit the world (their U-Net pads with zeros, their FNO takes every frame for a
torus; here the U-Net's layers wrap around a torus and repeat the rim elsewhere, and frames that are
no torus are extended by an eighth to each side for the FNO, as ours are).
"""

import importlib
import sys
import types
from importlib.util import find_spec
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from slime.errors import SlimeError
from slime.studies.train import Trial
from slime.studies.worlds import World

UNET, FNO = "well_unet_convnext", "well_fno"
STAGES, MODES, MARGIN = 4, 16, 8
HINT = "make contest installs it, in an environment of its own"


class FoldedUNet(nn.Module):
    """Their U-Net ConvNeXt, sides extended to a multiple of 2^stages."""

    def __init__(self, net: nn.Module, edges: str):
        super().__init__()
        self.net = net
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d) and any(layer.padding):
                layer.padding_mode = edges

    def forward(self, past: Tensor) -> Tensor:
        """Frames `b t c y x` to the next one, `b c y x`."""
        frames = rearrange(past, "b t c y x -> b (t c) y x")
        height, width = frames.shape[-2:]
        more = (0, -width % 2**STAGES, 0, -height % 2**STAGES)
        if any(more):
            frames = functional.pad(frames, more, mode="replicate")
        return self.net(frames)[..., :height, :width]


class FoldedFNO(nn.Module):
    """Their FNO; frames that are no torus get a margin, which is cut off again."""

    def __init__(self, net: nn.Module, edges: str):
        super().__init__()
        self.net, self.edges = net, edges

    def forward(self, past: Tensor) -> Tensor:
        """Frames `b t c y x` to the next one, `b c y x`."""
        frames = rearrange(past, "b t c y x -> b (t c) y x")
        if self.edges == "circular":
            return self.net(frames)
        height, width = frames.shape[-2:]
        y, x = -(-height // MARGIN), -(-width // MARGIN)
        wider = functional.pad(frames, (x, x, y, y), mode="replicate")
        return self.net(wider)[..., y : y + height, x : x + width]


def build_unet(trial: Trial, world: World) -> nn.Module:
    """Their U-Net ConvNeXt at its defaults (4 stages, a block each) and the trial's width."""
    net = _net("unet_convnext", "UNetConvNext")
    n = len(world.channels)
    built = net(trial.n_in * n, n, 2, world.size, stages=STAGES, init_features=trial.net.width)
    return FoldedUNet(built, world.edges)


def build_fno(trial: Trial, world: World) -> nn.Module:
    """Their FNO at 16 modes, as in their paper, and the trial's width."""
    n = len(world.channels)
    given: dict[str, Any] = {"modes1": MODES, "modes2": MODES, "hidden_channels": trial.net.width}
    return FoldedFNO(_net("fno", "FNO")(trial.n_in * n, n, 2, world.size, **given), world.edges)


def check_installed() -> None:
    """Refuse to begin without the package.

    Raises:
        SlimeError: it, or neuraloperator below it, is not installed.
    """
    for name in ("the_well", "neuralop"):
        if find_spec(name) is None:
            raise SlimeError(f"the contest needs the package {name}: {HINT}")


def _net(module: str, name: str) -> Any:
    """A net of the package, without its other nets, which ask for more than these two use."""
    models = "the_well.benchmark.models"
    if models not in sys.modules:
        found = find_spec("the_well.benchmark")
        places = found.submodule_search_locations if found else None
        if not places:
            raise SlimeError(f"the_well as installed holds no benchmark nets: {HINT}")
        package = types.ModuleType(models)
        package.__path__ = [f"{places[0]}/models"]
        sys.modules[models] = package
    if "timm.models.layers" not in sys.modules:
        # the U-Net names timm's DropPath, and leaves it out at its rate of 0; timm asks for more
        layers: Any = types.ModuleType("timm.models.layers")
        layers.DropPath = nn.Identity
        for part in ("timm", "timm.models"):
            sys.modules[part] = types.ModuleType(part)
        sys.modules["timm.models.layers"] = layers
    return getattr(importlib.import_module(f"{models}.{module}"), name)


def one_thread() -> None:
    """One torch thread: CPU-seconds of several count the waiting too."""
    torch.set_num_threads(1)
