"""One step in movie units, past to next frame, and many steps by feeding back."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slime.errors import SlimeError, nearest
from slime.scale import Standardizer

Step = Callable[[Float[Tensor, "b t c y x"]], Float[Tensor, "b c y x"]]
Head = Literal["direct", "residual", "gated"]


class Stepper(nn.Module):
    """A net with its scale and head: frames in movie units to the next frame in movie units.

    Like every step it may be given more frames than it reads: it takes the newest `n_in`.

    Args:
        scale: fitted on the train split.
        net: standard units `b t c y x` to `b c y x`.
        head: "direct" reads the net's output as the next frame, "residual" as the change from the
            last one, in units of the root mean square change. Residual wins on slow movies. "gated"
            learns for each channel how much of the last frame stays: all of it at first, as a
            residual; with none of it the output is the next frame.
        n_in: frames that the net reads.
    """

    def __init__(self, scale: Standardizer, net: nn.Module, head: str = "residual", n_in: int = 1):
        super().__init__()
        if head not in get_args(Head):
            known = get_args(Head)
            raise SlimeError(
                f"net.head={head!r} is none of {', '.join(known)}{nearest(head, known)}"
            )
        self.scale, self.net, self.head, self.n_in = scale, net, head, n_in
        self.gate = nn.Parameter(torch.ones_like(scale.mean)) if head == "gated" else None

    def forward(self, past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        """The next frame, from the newest `n_in` frames given."""
        if past.shape[1] < self.n_in:
            raise SlimeError(f"{past.shape[1]} frames were given, but the net reads {self.n_in}")
        return self.headed(self.net(self.scale(past[:, -self.n_in :])), past)

    def headed(
        self, output: Float[Tensor, "b c y x"], past: Float[Tensor, "b t c y x"]
    ) -> Float[Tensor, "b c y x"]:
        """The next frame that an output of the net stands for: affine in it."""
        if self.head == "direct":
            return self.scale.undo(output)
        change = output * self.scale.delta_std[:, None, None]
        if self.gate is None:
            return past[:, -1] + change
        mean = self.scale.mean[:, None, None]
        return mean + self.gate[:, None, None] * (past[:, -1] - mean) + change


def rollout(
    stepper: Step, past: Float[Tensor, "b t c y x"], n_steps: int, *, detach: bool = False
) -> Float[Tensor, "b lead c y x"]:
    """The next `n_steps` frames, each made from the newest frames, predictions included.

    As many frames are given to each step as `past` holds.

    Args:
        detach: let gradients of a frame flow through its own step alone, the frames that it was
            made from taken as they are (pushforward: Brandstetter et al. 2022, arXiv 2202.03376).

    Raises:
        SlimeError: n_steps below 1, or past without the axes b t c y x.
    """
    if n_steps < 1:
        raise SlimeError(f"a rollout of {n_steps} steps: at least 1 is needed")
    if past.ndim != 5 or not past.shape[1]:
        raise SlimeError(f"past of shape {tuple(past.shape)} must have axes b t c y x, t above 0")
    frames = [stepper(past)]
    for _ in range(n_steps - 1):
        newest = frames[-1].detach() if detach else frames[-1]
        past = torch.cat([past[:, 1:], rearrange(newest, "b c y x -> b 1 c y x")], dim=1)
        frames.append(stepper(past))
    return torch.stack(frames, dim=1) if n_steps > 1 else frames[0][:, None]  # no copy


def weights_hash(state: Mapping[str, object]) -> str:
    """A hash of the names, dtypes, shapes and bytes of all tensors of a state, on any device."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name]
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
