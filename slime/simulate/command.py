"""The words after make_movie: a world, a path and settings written key=value."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from slime.errors import SlimeError, nearest
from slime.simulate.movies import list_settings
from slime.simulate.settings import Setting
from slime.simulate.worlds import WORLDS

OWN_KEYS = (
    Setting("out", "", "the store; with n_movies above 1 NAME-0.zarr ...; of lookalike the folder"),
    Setting("n_movies", 1, "movies made in one run, each with its own seed"),
    Setting("seed", 0, "of the first movie; the next ones count on"),
    Setting("device", "cpu", "where the world is simulated: cpu, cuda"),
)
USAGE = "usage: python scripts/make_movie.py WORLD out=PATH [key=value ...]"


class Command(NamedTuple):
    """What the user asked for."""

    world: str
    paths: list[Path]
    seeds: list[int]
    device: str
    settings: dict[str, Any]


def parse_command(words: Sequence[str]) -> Command:
    """The command in the words, in any order.

    >>> parse_command(["dictyostelium", "out=a.zarr", "n_movies=2", "k_e_per_min=11"]).paths
    [PosixPath('a-0.zarr'), PosixPath('a-1.zarr')]

    Raises:
        SlimeError: no world or several, no path, or a key that is no key.
    """
    worlds = [word for word in words if "=" not in word]
    if len(worlds) != 1:
        said = " ".join(worlds) or "none"
        raise SlimeError(f"name one world ({', '.join(WORLDS)}), not {said}; {USAGE}")
    given = {key: _value(text) for key, _, text in (w.partition("=") for w in words if "=" in w)}
    known = [*(one.name for one in OWN_KEYS), *(one.name for one in list_settings(worlds[0]))]
    for key in given:
        if key not in known:
            raise SlimeError(f"there is no key {key!r}{nearest(key, known)}")
    own = {one.name: given.pop(one.name, one.default) for one in OWN_KEYS}
    n_movies, seed = _count(own, "n_movies", 1), _count(own, "seed", 0)
    paths = movie_paths(str(own["out"]), n_movies, WORLDS[worlds[0]].names)
    return Command(worlds[0], paths, [seed + m for m in range(n_movies)], str(own["device"]), given)


def movie_paths(out: str, n_movies: int, names: str | None = None) -> list[Path]:
    """The path of every movie of a run, each ending in .zarr; numbered if there are several.

    With `names`, such as "dish {}.zarr", `out` is the folder of the stores.

    Raises:
        SlimeError: `out` is empty.
    """
    if not out:
        raise SlimeError(f"say where the movie goes: out=PATH; {USAGE}")
    path = Path(out).expanduser()
    if names is not None:
        return [path / names.format(m) for m in range(n_movies)]
    stem = path.name.removesuffix(".zarr")
    numbers = [""] if n_movies == 1 else [f"-{m}" for m in range(n_movies)]
    return [path.with_name(f"{stem}{number}.zarr") for number in numbers]


def help_text(world: str | None = None) -> str:
    """The usage, and every key of a world (or of the first one) with its default and meaning."""
    shown = world if world in WORLDS else next(iter(WORLDS))
    lines = [USAGE, "", f"worlds: {', '.join(WORLDS)}", "", f"keys of {shown}:"]
    settings = [*OWN_KEYS, *list_settings(shown)]
    for one in settings:
        default = "" if one.default in (None, "") else one.default
        lines.append(f"  {one.name + '=' + str(default):<32} {one.meaning}")
    return "\n".join(lines)


def _value(text: str) -> int | float | str:
    """A whole number, a number, or else the text itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _count(own: dict[str, Any], name: str, at_least: int) -> int:
    value = own[name]
    if not isinstance(value, int) or value < at_least:
        raise SlimeError(f"{name} is {value!r}; it must be a whole number from {at_least} on")
    return value
