"""Several movies of one world made in one run, one store each."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

from slime.errors import SlimeError
from slime.simulate.compiled import Choice, Steps, kernel_of, pick_steps, read_choice
from slime.simulate.filming import Recording, Shot, Take, World
from slime.simulate.kernel import Kernel
from slime.simulate.movie_header import stored_attributes, was_compiled
from slime.simulate.movie_writer import (
    MovieHeader,
    MovieWriter,
    State,
    is_finished,
    partial_path,
)
from slime.simulate.settings import Setting, list_fields, sort_settings
from slime.simulate.worlds import find_world

SIZE = Setting("size_px", None, "height and width at once")
COMPILE = Setting(
    "compile",
    "auto",
    "steps of the field in C: true, false, or auto, where that pays and a C compiler is there",
)


class Plan(NamedTuple):
    """The settings of a run, each with the noun that owns it."""

    world: World
    recording: Recording
    spec: Any
    camera: Any
    device: str
    choice: Choice


def make_movies(
    world: str,
    paths: Sequence[str | Path],
    *,
    seeds: Sequence[int],
    device: str = "cpu",
    compile: Any = COMPILE.default,
    progress: bool = False,
    **settings: Any,
) -> list[Path]:
    """Film `world` once for each path and seed, all in one batched run, and return the paths.

    A store that is there already, complete and with the same settings, is left as it is; one that
    was left unfinished goes on from its last whole chunk, with the same pixels as if it had never
    stopped. A movie depends on its seed alone, not on the others made beside it.

    Args:
        seeds: one a path.
        compile: compiled steps, "auto", "true" or "false" (see slime.simulate.compiled); a store
            that is there already, whole or not, keeps to those it was made with unless told.
        progress: show a bar, on a terminal only and if the run takes longer than two seconds.
        settings: fields of the world's spec, of its camera and of `Recording`, or `size_px`.

    Raises:
        SlimeError: a setting is unknown or out of its range, or a store holds another movie.
    """
    plan = plan_movies(world, device, settings, compile)
    stores = [Path(path) for path in paths]
    _check_pairs(stores, seeds)
    headers = [_header(plan, path, seed) for path, seed in zip(stores, seeds, strict=True)]
    wanted = [pair for pair in zip(stores, headers, strict=True) if not is_finished(*pair)]
    with ExitStack() as stack:
        stack.enter_context(one_thread())
        writers = [stack.enter_context(closing(plan.world.writer(*pair))) for pair in wanted]
        n_left = sum(plan.recording.n_frames - writer.n_written for writer in writers)
        # disable=None: silent where stderr is no terminal
        silent = None if progress else True
        bar = stack.enter_context(
            tqdm(total=n_left, unit="frame", delay=2, disable=silent, desc=world)
        )
        for batch in _batches(writers):
            for n_new in _record(plan, batch):
                bar.update(n_new)
    return stores


def is_made(
    world: str,
    path: str | Path,
    seed: int,
    device: str = "cpu",
    compile: Any = COMPILE.default,
    **settings: Any,
) -> bool:
    """Whether the store of this movie is there, complete; errors as of `make_movies`."""
    plan = plan_movies(world, device, settings, compile)
    _check_pairs([Path(path)], [seed])
    return is_finished(Path(path), _header(plan, Path(path), seed))


def plan_movies(
    world: str, device: str, settings: dict[str, Any], compile: Any = COMPILE.default
) -> Plan:
    """The settings sorted by the noun that owns them, the rest at their defaults."""
    chosen = find_world(world)
    if SIZE.name in settings:
        size = settings[SIZE.name]
        rest = {name: value for name, value in settings.items() if name != SIZE.name}
        settings = {"height_px": size, "width_px": size} | rest
    owners = (chosen.recording, chosen.spec, chosen.camera)
    recording, spec, camera = sort_settings(settings, owners, others=[SIZE.name, COMPILE.name])
    chosen.check(spec, recording)
    _check_device(device)
    return Plan(chosen, recording, spec, camera, device, read_choice(compile))


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread, for the while: on grids this small, more only wait for each other.

    On two cores shared with other work, three movies of 64 x 64 took 32 s with one thread and more
    than 200 s with two. The pixels do not depend on it.
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def list_settings(world: str) -> list[Setting]:
    """Every setting of a world: its name, its default and what it means."""
    chosen = find_world(world)
    own = list_fields([chosen.spec, chosen.camera])
    return [*list_fields([chosen.recording]), COMPILE, SIZE, *own]


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SlimeError(f"device {device!r} cannot be used here: {reason}") from error


def _check_pairs(stores: list[Path], seeds: Sequence[int]) -> None:
    if len(stores) != len(seeds):
        raise SlimeError(f"there are {len(stores)} paths and {len(seeds)} seeds; one a path")
    if len({path.resolve() for path in stores}) != len(stores):
        raise SlimeError("two movies have the same path; each needs its own")
    for seed in seeds:
        if not 0 <= seed < 2**63:
            raise SlimeError(f"seed is {seed}; it must be a whole number from 0 to 2**63 - 1")


def _steps(plan: Plan, path: Path) -> Steps:
    """How the movie of this path is made, or was."""
    begun = stored_attributes(path) or stored_attributes(partial_path(path))
    count = plan.world.n_updates
    return pick_steps(
        plan.choice,
        world=plan.world.name,
        n_updates=None if count is None else count(plan.spec, plan.recording),
        device=plan.device,
        begun=was_compiled(begun),
    )


def _header(plan: Plan, path: Path, seed: int) -> MovieHeader:
    steps = _steps(plan, path)
    parameters = {
        "world": plan.world.name,
        "device": plan.device,
        "compiled": steps.compiled,
        "steps": steps.told,
        "warm_up_min": plan.recording.warm_up_min,
        "spec": asdict(plan.spec),
        "camera": asdict(plan.camera),
    }
    return MovieHeader(
        n_frames=plan.recording.n_frames,
        height_px=plan.spec.height_px,
        width_px=plan.spec.width_px,
        channels=plan.world.channels(plan.camera),
        frame_interval_s=plan.recording.frame_interval_s,
        pixel_um=plan.world.pixel_um(plan.spec),
        experiment=path.name.removesuffix(".zarr"),
        seed=int(seed),
        parameters=parameters,
        frames_per_chunk=plan.recording.frames_per_chunk,
    )


def _batches(writers: list[MovieWriter]) -> list[list[MovieWriter]]:
    """Writers that stand at the same frame with the same steps, and so can go on together."""

    def place(writer: MovieWriter) -> tuple[int, bool]:
        return writer.n_written, writer.header.parameters["compiled"]

    return [list(batch) for _, batch in groupby(sorted(writers, key=place), key=place)]


def _record(plan: Plan, writers: list[MovieWriter]) -> Iterator[int]:
    """Film one batch to its end; yields the frames written at every shot."""
    kernel = None
    if writers[0].header.parameters["compiled"]:
        for writer in writers:
            kernel = kernel_of(str(writer.path), writer.state)
    take = Take(
        seeds=[writer.header.seed for writer in writers],
        first=writers[0].n_written,
        states=[writer.state for writer in writers if writer.state is not None],
        device=plan.device,
        kernel=kernel,
    )
    for shot in plan.world.film(plan.spec, plan.camera, plan.recording, take):
        for m, (writer, exposure) in enumerate(zip(writers, shot.exposures, strict=True)):
            writer.append(exposure.frame, partial(_to_save, shot, m, kernel), exposure.n_saturated)
        yield len(writers)
    for writer in writers:
        writer.finish()


def _to_save(shot: Shot, m: int, kernel: Kernel | None) -> State:
    """The state of one movie, with the machine code that must go on with it."""
    state = shot.state_of(m)
    return state if kernel is None else {**state, "kernel": kernel.digest}
