"""The symmetries of a square: what a world that knows no direction looks like from elsewhere."""

from einops import rearrange
from torch import Tensor

from slime.stream import Batch


def turned(batch: Batch, symmetry: int) -> Batch:
    """The batch under one of the 8 symmetries of the square (of the rectangle: 4, no transpose)."""
    flip_y, flip_x, swap = symmetry & 1, symmetry & 2, symmetry & 4

    def turn(frames: Tensor) -> Tensor:
        axes = [axis for axis, flip in ((-2, flip_y), (-1, flip_x)) if flip]
        frames = frames.flip(axes) if axes else frames
        square = frames.shape[-1] == frames.shape[-2]
        return rearrange(frames, "b t c y x -> b t c x y") if swap and square else frames

    return batch._replace(
        past=turn(batch.past),
        future=turn(batch.future),
        mask=None if batch.mask is None else turn(batch.mask),
    )
