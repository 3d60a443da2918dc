"""Tensors that are affine in the sizes of steps."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Shifted(NamedTuple):
    """A tensor at weights + a d1 + b d2 ..., affine in the steps' sizes."""

    terms: list[Tensor | None]  # what does not move, then what each size multiplies; None for 0

    @classmethod
    def of(cls, terms: Iterable[Tensor | None]) -> "Shifted":
        """Without the steps that are 0 throughout."""
        still, *steps = terms
        return cls([still, *(s if s is not None and s.any() else None for s in steps)])

    @property
    def start(self) -> Tensor:
        """What does not move."""
        start = self.terms[0]
        assert start is not None
        return start

    @property
    def still(self) -> bool:
        """Whether it is the same everywhere."""
        return not any(term is not None for term in self.terms[1:])

    def along(self, sizes: Sequence[float]) -> "Shifted":
        """The same where all sizes but the last are given."""
        total = self.start
        for size, term in zip(sizes, self.terms[1:-1], strict=True):
            if term is not None:
                total = torch.add(total, term, alpha=size)
        return Shifted([total, self.terms[-1]])

    def at(self, sizes: Float[Tensor, "points 1 1"]) -> Float[Tensor, "points _ _"]:
        """At several sizes of the one step that is left."""
        step = self.terms[-1]
        if step is None:
            return self.start.expand(len(sizes), *self.start.shape)
        return torch.addcmul(self.start, step, sizes)
