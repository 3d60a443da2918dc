"""The words after recover_physics: a store or a study, and settings; what is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slime.errors import SlimeError
from slime.folders import check_place
from slime.opening import OpeningSpec
from slime.recover.rates_movie import Choices
from slime.recover.stencil_movie import StencilChoices
from slime.settings import names_and_settings, setting, settings_help, spec_from_words

USAGE = """usage: python scripts/recover_physics.py STORE [key=value ...]
       python scripts/recover_physics.py study=rates|stencil|jones [key=value ...]"""


@dataclass(frozen=True)
class RecoverSpec(OpeningSpec):
    """How a store is opened, and what is looked for in it."""

    out: str | None = setting(None, "folder of tables and figures; recovered/<store> by default")
    study: Literal["rates", "stencil", "jones"] | None = setting(
        None,
        "instead of a store: bias and coverage on known truth (rates | stencil | jones)",
    )
    what: Literal["rates", "stencil", "jones"] = setting(
        "rates", "sigma and k_e of a movie of g; diffusion by a stencil; sensors of Jones' agents"
    )
    response: Literal["k_r", "free"] = setting(
        "k_r", "g is stored in K_R, or with a gain and an offset that are fitted"
    )
    warm_up_min: float = setting(8.0, "minutes after which hidden fields are known")
    longest_min: float = setting(40.0, "minutes of the movie that are used")
    crop_px: int = setting(64, "pixels a side of the middle that is used")
    copies: int = setting(8, "simulations with new noise, for bias and interval")
    stencil_px: int = setting(5, "pixels a side of a learned stencil")
    steps: int = setting(0, "explicit Euler steps between frames; 0 for a field of nature")
    fed_by: str | None = setting(None, "channels that feed the diffusing one, a,b; known exactly")
    table: int = setting(256, "of jones: networks simulated to compare with")
    seeds: int = setting(3, "of a study: movies at each truth; of jones: truths / 8")
    seed: int = setting(0, "of the noise of copies and studies")

    def __post_init__(self) -> None:
        for name, least in (
            ("copies", 3),
            ("crop_px", 3),
            ("seeds", 1),
            ("seed", 0),
            ("steps", 0),
            ("table", 64),
        ):
            if getattr(self, name) < least:
                raise SlimeError(f"{name}={getattr(self, name)} must be {least} or above")
        if self.stencil_px < 3 or self.stencil_px % 2 == 0:
            raise SlimeError(f"stencil_px={self.stencil_px} must be odd and 3 or above")
        for name in ("warm_up_min", "longest_min", "memory_gib"):
            if not 0 < getattr(self, name) < float("inf"):
                raise SlimeError(f"{name}={getattr(self, name)} must be above 0")

    @property
    def rate_choices(self) -> Choices:
        """What of this is about rates."""
        return Choices(
            self.response == "free",
            self.warm_up_min,
            self.longest_min,
            self.crop_px,
            self.copies,
            self.seed,
        )

    @property
    def stencil_choices(self) -> StencilChoices:
        """What of this is about stencils."""
        fed_by = tuple(name for name in (self.fed_by or "").split(",") if name)
        return StencilChoices(self.stencil_px, self.steps, fed_by)


def parse_words(words: Sequence[str]) -> tuple[str | None, RecoverSpec]:
    """The store (None of a study) and the settings of a command line.

    Raises:
        SlimeError: neither a store nor a study, several stores, a bad key, value or place.
    """
    stores, settings = names_and_settings(words)
    given = [word.removeprefix("data.") for word in settings]
    spec = spec_from_words(RecoverSpec, given)
    if len(stores) != (spec.study is None):
        wanted = "one store" if spec.study is None else f"no store beside study={spec.study}"
        raise SlimeError(f"name {wanted}, not {len(stores)}; see --help")
    check_place(Path(spec.out or "recovered"))
    return (stores[0] if stores else None), spec


def help_text() -> str:
    """The usage, and every key with its default and meaning."""
    return "\n".join([USAGE, "", "Settings (key=default):", settings_help(RecoverSpec)])
