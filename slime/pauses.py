"""When a training is saved within an epoch: every so often, and when it is asked to end."""

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from slime.ranks import ALONE, Ranks

# Ctrl-C, a time limit (timeout, Slurm), of processor seconds (ulimit -t), a terminal that closes
ASKS_TO_END = ("SIGINT", "SIGTERM", "SIGXCPU", "SIGHUP")
LOOK_EVERY_S = 1.0  # ranks agree on a pause about so often
MOST_STEPS = 1000  # between two looks


class Pauses:
    """Saves a training between two of its steps; use it as a context.

    Inside, the first signal that asks to end lets the step under way end, saves, and raises
    KeyboardInterrupt; a second one raises at once, where one process trains.

    Args:
        save: keeps what a training needs to go on; called on every rank.
        every_s: seconds between saves.
    """

    def __init__(
        self, save: Callable[[dict[str, Any]], None], every_s: float, *, ranks: Ranks = ALONE
    ):
        self._save, self.every_s, self.ranks = save, every_s, ranks
        self._asked, self._held = False, {}
        self._last, self._look, self._steps, self._wait = time.monotonic(), time.monotonic(), 0, 1

    def __enter__(self) -> "Pauses":
        if threading.current_thread() is threading.main_thread():
            numbers = [getattr(signal, name) for name in ASKS_TO_END if hasattr(signal, name)]
            for number in numbers:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves SIGHUP
                    self._held[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._held.items():
            signal.signal(number, before)
        if self._asked and kind is None:  # after the last step
            raise KeyboardInterrupt

    def due(self) -> bool:
        """Whether to save now: asked between two steps, by all ranks at the same ones."""
        if self.ranks.world_size == 1:
            return self._asked or time.monotonic() - self._last >= self.every_s
        self._steps += 1
        if self._steps < self._wait:
            return False
        now = time.monotonic()
        mine = self.ranks.first
        wanted = self._asked or (mine and now - self._last >= self.every_s)
        pace = self._steps / max(now - self._look, 1e-6) * LOOK_EVERY_S if mine else 0.0
        asked, wanted, pace = self.ranks.highest([self._asked, wanted, pace])
        self._asked = bool(asked)
        self._steps, self._look, self._wait = 0, now, int(min(max(pace, 1), MOST_STEPS))
        return bool(wanted)

    def save(self, state: dict[str, Any]) -> None:
        """Keep the state, and end if that was asked."""
        self._save(state)
        self._last = time.monotonic()
        self.end()

    def end(self) -> None:
        """Raise KeyboardInterrupt if a signal asked to end and what there is to save is saved."""
        if self._asked:
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked and self.ranks.world_size == 1:
            raise KeyboardInterrupt
        self._asked = True
