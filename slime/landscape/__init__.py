"""What the loss does around a trained net: along lines and over planes through its weights.

A picture of one or two dimensions out of many, along the directions that were drawn and no others.
Steps are measured in each net's own weights, so between models only the shape of the loss over its
centre value can be compared, and that shape alone says nothing of how well a net generalises
(Andriushchenko et al. 2023, arXiv 2302.07011).
"""

from slime.landscape.between import loss_between
from slime.landscape.directions import Direction, filter_normalised_direction
from slime.landscape.grid import Progress
from slime.landscape.hessian import hessian_directions, hessian_spectrum
from slime.landscape.planes import plane_through, trajectory_plane
from slime.landscape.surface import loss_line, loss_plane

__all__ = [
    "Direction",
    "Progress",
    "filter_normalised_direction",
    "hessian_directions",
    "hessian_spectrum",
    "loss_between",
    "loss_line",
    "loss_plane",
    "plane_through",
    "trajectory_plane",
]
