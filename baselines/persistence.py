"""The next frame is the last one: the opponent of every skill score."""

from jaxtyping import Float
from torch import Tensor

from slime.errors import SlimeError


class Persistence:
    """Repeats the newest frame; nothing is fitted."""

    n_in = 1

    def __call__(self, past: Float[Tensor, "b t c y x"]) -> Float[Tensor, "b c y x"]:
        """The newest frame."""
        if not past.shape[1]:
            raise SlimeError("persistence repeats the newest frame, but no frame was given")
        return past[:, -1]

    def for_movie(self, movie: int) -> "Persistence":
        """Itself: the same for every movie."""
        return self
