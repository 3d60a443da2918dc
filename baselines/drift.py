"""The next frame changes as the last one did: each pixel goes on along a straight line."""

from jaxtyping import Float
from torch import Tensor

from slime.errors import SlimeError


class Drift:
    """Linear extrapolation, x_T + (x_T - x_(T-1)); nothing is fitted.

    Exact where pixels change at an even pace; where they are noisy it doubles the noise.
    """

    n_in = 2

    def __call__(self, past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        """The newest frame and its last change again."""
        if past.shape[1] < self.n_in:
            raise SlimeError(f"drift needs the 2 newest frames, but {past.shape[1]} were given")
        return 2 * past[:, -1] - past[:, -2]

    def for_movie(self, movie: int) -> "Drift":
        """Itself: the same for every movie."""
        return self
