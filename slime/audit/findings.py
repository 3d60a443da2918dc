"""What an audit says: findings, each with its frames, how bad it is and what to do."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        kind: one or two words.
        frames: those it touches; none where it is about the whole movie.
        severity: an error would poison a result, a warning may, a note is good to know.
        advice: what was seen, and what to do.
        places: chunks or pixels by name, all of them, where there are some.
    """

    kind: str
    frames: tuple[int, ...]
    severity: Severity
    advice: str
    places: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.severity}: {self.kind}, {self.advice}"


def some_of(names: tuple[str, ...] | list[str], n_shown: int = 4) -> str:
    """The first few names, and how many more there are.

    >>> some_of(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - n_shown} more" if len(names) > n_shown else ""
    return ", ".join(names[:n_shown]) + more
