"""A stepper in training: its steps, and what it needs to go on between any two of them."""

import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from slime.arithmetic import training_step
from slime.averaging import Averaged
from slime.epoch_sums import PlacedBatches, Sums, TrainBatches, Trained
from slime.errors import SlimeError
from slime.gradients import Gradients
from slime.noise import Noise
from slime.optim import OptimSpec, leads_learned, learning_rate, weight_groups
from slime.pauses import Pauses
from slime.progress import Progress
from slime.ranks import Ranks
from slime.stepper import Stepper
from slime.stream import Batch
from slime.symmetry import turned

CHECK_EVERY = 50  # steps between looks at the loss: each look waits for the device


class DivergedError(SlimeError):
    """A loss that is not finite."""


class Training:
    """A stepper with its optimizer, schedule, noise and mean of weights, changed in place.

    Args:
        resume: what `state` gave, to go on from.
    """

    def __init__(
        self,
        stepper: Stepper,
        optim: OptimSpec,
        *,
        seed: int,
        ranks: Ranks,
        resume: dict[str, Any] | None,
    ):
        self.stepper, self.optim, self.seed, self.ranks = stepper, optim, seed, ranks
        self.device = next(stepper.parameters()).device
        step = training_step(stepper, optim, self.device)
        self.optimizer = torch.optim.AdamW(weight_groups(stepper, optim), lr=optim.lr)
        self.gradients = Gradients(stepper, optim, step, ranks)
        self.average, self._within = None, None
        if resume is not None:
            self._go_on(resume)
        if optim.ema:
            trained = None if resume is None else resume["trained"]
            self.average = Averaged(stepper, optim.ema, trained=trained)

    def epoch(
        self,
        train: TrainBatches,
        number: int,
        *,
        so_far: dict[str, Any] | None = None,
        pauses: Pauses | None = None,
        progress: Progress | None = None,
    ) -> Trained:
        """One pass over the train windows; `number` counts from 0.

        With `optim.ema` the stepper holds the mean of its weights before and after.

        Args:
            so_far: what is saved with the state where `pauses` saves.
            pauses: saves within the epoch, where `train` tells its position.

        Raises:
            DivergedError: the loss is not finite.
        """
        began, waited = time.perf_counter(), train.wait_s
        held, self._within = self._within, None
        sums = Sums.to_begin(self.device, held)
        before = sums.seconds, sums.wait_s
        draw = np.random.default_rng((self.seed, number, 1))
        noise = self.noise(number, held)
        parts, n = self.optim.accumulate, len(train)
        placed = train if isinstance(train, PlacedBatches) else None
        n_steps = -(-n // parts)
        for _ in range(sums.batches // parts if self.optim.augment else 0):
            draw.integers(8)  # the turns that were taken
        self._hide()
        self.optimizer.zero_grad(set_to_none=True)
        self.stepper.train()
        symmetry = 0
        batches = enumerate(train, sums.batches)
        if progress is not None:
            label = f"epoch {number + 1} of {self.optim.epochs}"
            batches = progress(batches, n - sums.batches, label)
        for i, batch in batches:
            step, part = divmod(i, parts)
            if part == 0 and self.optim.augment:
                symmetry = int(draw.integers(8))
            place, total = number * n_steps + step, self.optim.epochs * n_steps
            n_leads = leads_learned(place, total, batch.future.shape[1], self.optim)
            self.gradients.add(self.seen(batch, symmetry, noise, n_leads))
            if part < parts - 1 and i < n - 1:
                continue
            self.step(place, total, sums)
            if step % CHECK_EVERY == CHECK_EVERY - 1:
                self._check_finite(sums.loss, number, i, n)
            sums.batches = i + 1
            if placed is not None and pauses is not None and i < n - 1 and pauses.due():
                self._check_finite(sums.loss, number, i, n)
                sums.seconds = before[0] + time.perf_counter() - began
                sums.wait_s = before[1] + train.wait_s - waited
                within = {**sums.numbers(), "position": placed.state_dict()}
                self._show()  # a checkpoint holds what is validated
                pauses.save({**(so_far or {}), **self.state(within, noise)})
                self._hide()
        self._check_finite(sums.loss, number, n - 1, n)
        self._show()
        windows = round(sums.windows.item())
        return Trained(
            sums.loss.item() / windows,
            sums.grad.item() / n_steps,
            windows,
            before[0] + time.perf_counter() - began,
            before[1] + train.wait_s - waited,
        )

    def state(self, within: dict[str, Any] | None = None, noise: Noise | None = None) -> Any:
        """All that is needed to go on from here, as plain tensors and numbers; asked of all ranks.

        Args:
            within: what an epoch under way came to so far, and the position of its batches.
        """
        own = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            own["cuda"] = torch.cuda.get_rng_state(self.device)
        if noise is not None:
            own["noise"] = noise.state()
        return {
            "optimizer": self.optimizer.state_dict(),
            "random": self.ranks.gathered(own),
            "within": within,
            **({} if self.average is None else {"trained": self.average.trained()}),
        }

    def _go_on(self, resume: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(resume["optimizer"])
        self._within = resume["within"]
        if self.ranks.rank >= len(resume["random"]):  # more processes than before
            return
        own = resume["random"][self.ranks.rank]
        torch.set_rng_state(own["cpu"])
        if self.device.type == "cuda" and "cuda" in own:
            torch.cuda.set_rng_state(own["cuda"], self.device)
        if self._within is not None:
            self._within = {**self._within, "noise": own.get("noise")}

    def seen(
        self, batch: Batch, symmetry: int, noise: Noise | None, n_leads: int | None = None
    ) -> Batch:
        """The batch as it is trained on, of its first leads alone where a number is given."""
        if n_leads is not None and n_leads < batch.future.shape[1]:
            mask = None if batch.mask is None else batch.mask[:, :n_leads]
            batch = batch._replace(future=batch.future[:, :n_leads], mask=mask)
        if self.optim.augment:
            batch = turned(batch, symmetry)
        return batch if noise is None else batch._replace(past=batch.past + noise(batch.past))

    def step(self, step: int, n_steps: int, sums: Sums) -> None:
        """Move the weights by the parts that were added; nothing waits for the device."""
        rate = learning_rate(step, n_steps, self.optim)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, windows = self.gradients.taken()
        norm = nn.utils.clip_grad_norm_(self.gradients.weights, self.optim.clip or math.inf)
        self.optimizer.step()
        for weight in self.gradients.weights:
            weight.grad = None
        if self.average is not None:
            self.average.update(step + 1)
        sums.loss += loss * windows
        sums.grad += norm.detach()
        sums.windows += windows

    def _show(self) -> None:
        if self.average is not None:
            self.average.show()

    def _hide(self) -> None:
        if self.average is not None:
            self.average.hide()

    def noise(self, number: int, held: dict[str, Any] | None = None) -> Noise | None:
        """The noise of an epoch, None where there is none; `held` of one that is gone on with."""
        if not self.optim.noise:
            return None
        own = (self.ranks.rank,) if self.ranks.rank else ()
        std = self.optim.noise * self.stepper.scale.delta_std
        noise = Noise(std, (self.seed, number, 2, *own))
        if held is not None and held["noise"] is not None:
            noise.load(held["noise"])
        return noise

    def _check_finite(self, loss_sum: Tensor, epoch: int, i: int, n: int) -> None:
        if not torch.isfinite(loss_sum):
            raise DivergedError(
                f"the loss is not finite by batch {i + 1} of {n} of epoch {epoch + 1}: a smaller "
                "optim.lr would do; the best and last checkpoints stand as they were"
            )
