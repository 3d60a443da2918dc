"""How a spec's fields carry their meaning, for --help."""

from dataclasses import field
from typing import Any


def setting(default: Any, meaning: str) -> Any:
    """A dataclass field with a default and one line of help; lists and dicts are copied."""
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata={"help": meaning})
    return field(default=default, metadata={"help": meaning})
