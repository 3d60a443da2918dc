"""Progress bars: on a terminal only, gone when done."""

from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def bar(steps: Iterable[Any], total: int, label: str) -> Iterable[Any]:
    """The steps themselves, with a bar of `total` of them where somebody is watching."""
    return tqdm(steps, total=total, desc=label, disable=None, leave=False, delay=1.0)
