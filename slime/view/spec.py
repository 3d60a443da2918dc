"""The words after view.py: a store or a run, and settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from slime.errors import SlimeError
from slime.opening import OpeningSpec
from slime.settings import names_and_settings, setting, settings_help, spec_from_words

USAGE = "usage: python scripts/view.py STORE|RUN [key=value ...]"


@dataclass(frozen=True)
class ViewSpec(OpeningSpec):
    """How a store is opened, what is looked at first, and where the page is served."""

    out: str | None = setting(None, "write what would be looked at as OME-Zarr there, no page")
    at: int | None = setting(None, "first frame looked at; of a run the last one given to the net")
    leads: int = setting(8, "frames ahead that a run forecasts")
    frames: str | None = setting(None, "frames of a store to write, START:STOP; all by default")
    port: int = setting(0, "where localhost serves the page; 0 takes one that is free")
    browser: bool = setting(True, "open the page in a browser, where there is a display")

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise SlimeError(f"port={self.port} must be 0 (any that is free) to 65535")
        if self.leads < 1:
            raise SlimeError(f"leads={self.leads} must be at least 1")
        self.span(1 << 62)

    def span(self, n_frames: int) -> tuple[int, int]:
        """The frames to write, start kept and stop left out.

        Raises:
            SlimeError: `frames` is no START:STOP within the movie.
        """
        if self.frames is None:
            return 0, n_frames
        words = self.frames.split(":")
        if len(words) != 2 or not all(w.isdigit() or not w for w in words):
            raise SlimeError(f"frames={self.frames} must be START:STOP, for instance 100:140")
        start, stop = int(words[0] or 0), int(words[1] or n_frames)
        if not start < stop <= n_frames:
            raise SlimeError(f"frames={self.frames} must hold a frame, of 0 to {n_frames}")
        return start, stop


def parse_words(words: Sequence[str]) -> tuple[str, ViewSpec]:
    """The store or run and the settings of a command line.

    Raises:
        SlimeError: not one name, an unknown key, a value of the wrong kind.
    """
    names, settings = names_and_settings(words)
    if len(names) != 1:
        raise SlimeError(f"name one store or one run's folder, not {len(names)}; {USAGE}")
    return names[0], spec_from_words(ViewSpec, settings)


def help_text() -> str:
    """The usage and every key with its default and meaning."""
    about = "a run's movies are opened as it was trained; its test frames stay closed"
    return "\n".join(
        [USAGE, about, "", "Settings (key=default, meaning):", settings_help(ViewSpec)]
    )
