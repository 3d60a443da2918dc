"""A net from the planes of a movie's first frames to a map of where its mounds will be."""

from jaxtyping import Float
from torch import Tensor, nn

from slime.nets import NetSpec, net_of


class HeatNet(nn.Module):
    """Any of slime's nets, given planes in the place of frames, with the planes' scale inside.

    Args:
        mean, std: of each plane over the train movies.
        net: its head is not asked: the map is drawn anew, whatever the last frame shows.
        size: height and width of a plane, for a net that sees whole frames.
    """

    mean: Float[Tensor, " plane"]
    std: Float[Tensor, " plane"]

    def __init__(
        self,
        mean: Float[Tensor, " plane"],
        std: Float[Tensor, " plane"],
        net: NetSpec,
        size: tuple[int, int],
    ):
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", std.clone())
        self.net = net_of(net, n_in=len(mean), channels=1, size=size)

    @property
    def receptive_radius(self) -> int | None:
        """Pixels to each side that a value of the map depends on; None for the whole frame."""
        radius = getattr(self.net, "receptive_radius", None)
        return None if radius is None else int(radius)

    def forward(self, planes: Float[Tensor, "b plane y x"]) -> Float[Tensor, "b y x"]:
        """Logits of the map, at the planes' size."""
        scaled = (planes - self.mean[:, None, None]) / self.std[:, None, None]
        return self.net(scaled[:, :, None])[:, 0]
