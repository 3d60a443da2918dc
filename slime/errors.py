"""The one error that is the user's to mend: a setting, a store, a choice."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import numpy as np
from jaxtyping import Int


class SlimeError(ValueError):
    """A mistake in a setting or a fault in a store, said in one line with what would be right."""


class StoreError(SlimeError):
    """A store that cannot be used as it is: the line names the store, the place and a cure."""


class MissingStoreError(StoreError, FileNotFoundError):
    """A path at which there is no store."""


class TimeAxisError(SlimeError):
    """A time axis that is uneven, of another length than the movie, or in an unknown unit."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Hint at the known word nearest to a mistyped one, or nothing.

    >>> nearest("personne", ["ridge", "persistence"])
    ''
    >>> nearest("persistance", ["ridge", "persistence"])
    '; did you mean persistence?'
    """
    close = get_close_matches(word, [w for w in known if w != word], n=1)
    return f"; did you mean {close[0]}?" if close else ""


def quoted(word: object, most: int = 80) -> str:
    """What a store says, in quotes and on one line, a long saying cut in the middle.

    >>> quoted("ms"), quoted(10**99, most=9)
    ("'ms'", "'1000…000'")
    """
    text = str(word)
    part = (most - 1) // 2
    return repr(text if len(text) <= most else f"{text[:part]}…{text[1 - part :]}")


def span_text(frames: Sequence[int] | Int[np.ndarray, " frames"]) -> str:
    """Frame numbers as short text: runs as 'a to b', long lists cut with their count said.

    >>> span_text([3, 4, 5, 9])
    '3 to 5, 9'
    """
    runs: list[tuple[int, int]] = []
    for frame in sorted(int(f) for f in frames):
        if runs and frame == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], frame)
        else:
            runs.append((frame, frame))
    shown = [f"{a}" if a == b else f"{a} to {b}" for a, b in runs[:6]]
    more = f" and {len(runs) - 6} more runs" if len(runs) > 6 else ""
    return ", ".join(shown) + more


def one_line(error: BaseException) -> str:
    """An error as one short line: its type and what it says.

    >>> one_line(KeyError("time"))
    "KeyError: 'time'"
    """
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__
