"""Several movies of one world made in one run, one store each."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from slime.errors import SlimeError, nearest
from slime.simulate.movie_writer import MovieHeader, MovieWriter, is_finished
from slime.simulate.worlds import Recording, Take, World, find_world

SIZE = "size_px"  # height and width of a square world at once


class Plan(NamedTuple):
    """The settings of a run, each with the noun that owns it."""

    spec: Any
    camera: Any
    recording: Recording


def make_movies(
    world: str,
    paths: Sequence[str | Path],
    *,
    seeds: Sequence[int],
    device: str = "cpu",
    progress: bool = False,
    **settings: Any,
) -> list[Path]:
    """Film `world` once for each path and seed, all in one batched run, and return the paths.

    A store that is there already, complete and with the same settings, is left as it is; one that
    was left unfinished goes on from its last whole chunk, with the same pixels as if it had never
    stopped. A movie depends on its seed alone, not on the others made beside it.

    Args:
        seeds: one a path.
        progress: show a bar, on a terminal only and if the run takes longer than two seconds.
        settings: fields of the world's spec, its camera and `Recording` (`n_frames`,
            `frame_interval_s`, `warm_up_min`, `frames_per_chunk`), or `size_px`.

    Raises:
        SlimeError: a setting is unknown or out of its range, or a store holds another movie.
    """
    chosen = find_world(world)
    plan = plan_run(chosen, settings)
    stores = [Path(path) for path in paths]
    if len(stores) != len(seeds):
        raise SlimeError(f"there are {len(stores)} paths and {len(seeds)} seeds; one a path")
    if len({path.resolve() for path in stores}) != len(stores):
        raise SlimeError("two movies have one path; each needs its own")
    headers = [
        _header(chosen, plan, path, seed, world=world, device=device)
        for path, seed in zip(stores, seeds, strict=True)
    ]
    pairs = list(zip(stores, headers, strict=True))
    writers = [MovieWriter(*pair) for pair in pairs if not is_finished(*pair)]
    n_left = sum(plan.recording.n_frames - writer.n_written for writer in writers)
    # disable=None: silent where stderr is no terminal
    with tqdm(
        total=n_left, unit="frame", delay=2, disable=None if progress else True, desc=world
    ) as bar:
        for batch in _batches(writers):
            for n_new in _record(chosen, plan, batch, device):
                bar.update(n_new)
    return stores


def plan_run(world: World, settings: dict[str, Any]) -> Plan:
    """The settings sorted by the noun that owns them, the rest at their defaults."""
    owners = (world.spec, world.camera, Recording)
    settings = dict(settings)
    if SIZE in settings:
        size = settings.pop(SIZE)
        settings = {"height_px": size, "width_px": size} | settings
    known = {field.name: field for owner in owners for field in fields(owner)}
    for name, value in settings.items():
        if name not in known:
            raise SlimeError(f"there is no setting {name!r}{nearest(name, [*known, SIZE])}")
        settings[name] = _typed(name, value, type(known[name].default))
    return Plan(
        *(
            owner(**{f.name: settings[f.name] for f in fields(owner) if f.name in settings})
            for owner in owners
        )
    )


def _typed(name: str, value: Any, kind: type) -> Any:
    """The value as the kind its default has; a whole number will do for a fractional one."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (kind is int and value != int(value)):
        expected = "whole number" if kind is int else "number"
        raise SlimeError(f"{name} is {value!r}; it must be a {expected}")
    return kind(value)


def list_settings(world: str) -> list[tuple[str, Any]]:
    """The name and the default of every setting of a world."""
    chosen = find_world(world)
    owners = (Recording, chosen.spec, chosen.camera)
    return [(field.name, field.default) for owner in owners for field in fields(owner)]


def _header(
    chosen: World, plan: Plan, path: Path, seed: int, *, world: str, device: str
) -> MovieHeader:
    parameters = {
        "world": world,
        "device": device,
        "warm_up_min": plan.recording.warm_up_min,
        "spec": asdict(plan.spec),
        "camera": asdict(plan.camera),
    }
    return MovieHeader(
        n_frames=plan.recording.n_frames,
        height_px=plan.spec.height_px,
        width_px=plan.spec.width_px,
        channels=chosen.channels,
        frame_interval_s=plan.recording.frame_interval_s,
        pixel_um=chosen.pixel_um(plan.spec),
        experiment=path.name.removesuffix(".zarr"),
        seed=seed,
        parameters=parameters,
        frames_per_chunk=plan.recording.frames_per_chunk,
    )


def _batches(writers: list[MovieWriter]) -> list[list[MovieWriter]]:
    """Writers that stand at the same frame, and so can go on together."""
    in_order = sorted(writers, key=lambda writer: writer.n_written)
    return [list(batch) for _, batch in groupby(in_order, key=lambda writer: writer.n_written)]


def _record(world: World, plan: Plan, writers: list[MovieWriter], device: str) -> Iterator[int]:
    """Film one batch to its end; yields the frames written at every shot."""
    states = [writer.state for writer in writers if writer.state is not None]
    take = Take(
        seeds=[writer.header.seed for writer in writers],
        first=writers[0].n_written,
        states=states or None,
        device=device,
    )
    for shot in world.film(plan.spec, plan.camera, plan.recording, take):
        for m, (writer, exposure) in enumerate(zip(writers, shot.exposures, strict=True)):
            writer.append(exposure.frame, lambda m=m: shot.state_of(m), exposure.n_saturated)
        yield len(writers)
    for writer in writers:
        writer.finish()
