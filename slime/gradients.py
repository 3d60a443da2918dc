"""The gradients of a step, summed over the parts that it is computed in and over all ranks."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from slime.objective import training_loss, weighed_loss
from slime.optim import OptimSpec
from slime.ranks import Ranks
from slime.stepper import Step, Stepper
from slime.stream import Batch


class Gradients:
    """Takes the parts of a step one by one and leaves its gradients in the weights.

    Each part counts by its windows (under a mask, by the pixels that count), so that the gradients
    are those of the windows of all parts and ranks in one batch, however unequal the parts are.
    """

    def __init__(self, stepper: Stepper, optim: OptimSpec, step: Step, ranks: Ranks):
        self.stepper, self.optim, self.step, self.ranks = stepper, optim, step, ranks
        self.weights = [weight for weight in stepper.parameters() if weight.requires_grad]
        self._whole = optim.accumulate == 1 and ranks.world_size == 1
        self._loss: Tensor | None = None
        self._n, self._weight = 0, 0.0

    def add(self, batch: Batch) -> None:
        """Add a part; a rank may have none of the last windows."""
        self._n += len(batch.past)
        if self._whole:
            loss = training_loss(self.stepper, batch, self.optim, self.step)
            loss.backward()
            self._loss = loss.detach()
        elif len(batch.past):
            loss, weight = weighed_loss(self.stepper, batch, self.optim, self.step)
            loss.backward()
            self._loss = loss.detach() if self._loss is None else self._loss + loss.detach()
            self._weight = self._weight + weight

    def taken(self) -> tuple[Float[Tensor, ""], int | Int[Tensor, ""]]:
        """The loss of the step and its windows, of all ranks; the weights hold its gradients."""
        loss, n = self._loss, self._n
        if not self._whole:
            loss, n = self._summed()
        assert loss is not None
        self._loss, self._n, self._weight = None, 0, 0.0
        return loss, n

    @torch.no_grad()
    def _summed(self) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
        gradients = [
            torch.zeros_like(weight) if weight.grad is None else weight.grad
            for weight in self.weights
        ]
        told = torch.zeros(3, device=gradients[0].device)
        told[0] = 0.0 if self._loss is None else self._loss
        told[1], told[2] = self._weight, self._n
        flat = torch.cat([told, *(gradient.flatten() for gradient in gradients)])
        self.ranks.add_up(flat)
        # as training_loss: a mask that leaves no pixel of a step leaves no gradient
        flat[0] /= flat[1].clamp(min=1e-12)
        flat[3:] /= flat[1].clamp(min=1e-12)
        parts = flat[3:].split([weight.numel() for weight in self.weights])
        for weight, part in zip(self.weights, parts, strict=True):
            weight.grad = part.view_as(weight)
        return flat[0], flat[2].long()
