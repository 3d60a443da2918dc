"""What all figures share: colours, short names, plain axes, and how they are saved."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slime.files import write_aside

# Okabe and Ito's colours, told apart with every common colour blindness
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, GREY = "#CC79A7", "#56B4E9", "#6B6B6B"
DPI = 120


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a PNG aside and rename it; equal figures give equal bytes."""
    look: dict[str, Any] = {"dpi": DPI, "metadata": {"Software": None}, "facecolor": "white"}
    write_aside(Path(path), lambda aside: figure.savefig(aside, format="png", **look))
    return Path(path)


def short_name(name: str, n_letters: int = 28) -> str:
    """A long name without its middle."""
    return name if len(name) <= n_letters else f"{name[: n_letters - 9]}…{name[-8:]}"


def tidy(axes: Axes) -> None:
    """Leave out the lines that frame the axes, and let faint ones cross them."""
    axes.spines[["right"]].set_visible(False)
    if not axes.child_axes:
        axes.spines[["top"]].set_visible(False)
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
