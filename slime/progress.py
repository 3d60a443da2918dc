"""Progress bars: on a terminal only, gone when done."""

from collections.abc import Callable, Iterable
from typing import Any

from tqdm import tqdm

# What shows progress: steps, how many (None where that is not known), what they do -> the steps.
Progress = Callable[[Iterable[Any], int | None, str], Iterable[Any]]


def bar(steps: Iterable[Any], total: int | None, label: str) -> Iterable[Any]:
    """The steps themselves, with a bar of `total` of them where somebody is watching."""
    return tqdm(steps, total=total, desc=label, disable=None, leave=False, delay=1.0)
