"""Whether the steps of a movie are compiled or torch's: decided here alone, and told.

The two differ in the last digits, so a movie keeps to one of them: what was decided stands in the
store's attributes, and an unfinished movie goes on with that, by the same machine code.
"""

from typing import Any, Literal, NamedTuple, get_args

import torch

from slime.errors import SlimeError
from slime.simulate.kernel import Kernel, NoKernelError, build_kernel
from slime.simulate.martiel_goldbeter import Kinetics, reacted, resting_signal, strip_pulse
from slime.simulate.sgro import FIELDS, advanced, initial_state
from slime.simulate.sgro_spec import SgroSpec

Choice = Literal["auto", "true", "false"]
PAYS_FROM = 100_000_000  # cell updates of a movie: about a second in torch, and a third to compile
CANNOT = "no compiled steps can be had"
CHECKED_TO = 1e-4  # relative: forty steps in 32 bits differ by some 1e-6


class Steps(NamedTuple):
    """What was decided for a movie, and why, in a few words."""

    compiled: bool
    told: str


def read_choice(value: Any) -> Choice:
    """The setting compile as a user writes it, or a bool.

    Raises:
        SlimeError: it is none of its values.
    """
    text = str(value).lower() if isinstance(value, bool) else value
    for choice in get_args(Choice):
        if text == choice:
            return choice
    raise SlimeError(f"compile is {value!r}; it must be auto, true or false")


def pick_steps(
    choice: Choice, *, world: str, n_updates: int | None, device: str, begun: bool | None
) -> Steps:
    """Compiled steps where they are asked for, or can be had and pay; else those of torch.

    Args:
        n_updates: cells times steps of one movie; None for a world that has no compiled steps.
        begun: what the store that is there already was made with; None without a store.

    Raises:
        SlimeError: compiled steps are asked for and cannot be had.
    """
    cannot = None
    if n_updates is None:
        cannot = f"{world} has none"
    elif torch.device(device).type != "cpu":
        cannot = f"they are for the CPU, not {device}"
    if choice == "true" and cannot:
        raise SlimeError(f"compile is true, but {CANNOT}: {cannot}")
    if choice == "false" or cannot or n_updates is None:
        return Steps(False, "torch")
    if choice == "auto" and begun is not None:
        return Steps(begun, "a C compiler" if begun else "torch")
    if choice == "auto" and n_updates < PAYS_FROM:
        return Steps(False, "torch: the movie is too short for compiling to pay")
    try:
        kernel = checked_kernel()
    except NoKernelError as error:
        if choice == "true":
            raise SlimeError(f"compile is true, but {CANNOT}: {error}") from error
        return Steps(False, f"torch: {CANNOT}: {error}")
    return Steps(True, kernel.compiler)


def checked_kernel() -> Kernel:
    """The compiled steps, seen to agree with those of torch on a few cells.

    Raises:
        NoKernelError: they cannot be had, or give something else.
    """
    kernel = build_kernel()
    kinetics, secretion = Kinetics(), torch.full((1, 5, 21), 0.2)
    signal = strip_pulse(resting_signal(kinetics, (1, 5, 21)), n_columns=3)
    told = {"n_steps": 40, "dt_min": 0.004, "dx_mm": 0.04, "secretion": secretion}
    pairs = list(
        zip(
            reacted(signal, kinetics, **told),
            reacted(signal, kinetics, **told, kernel=kernel),
            strict=True,
        )
    )
    spec = SgroSpec(height_px=5, width_px=21)
    minutes = 40 * spec.dt * spec.time_unit_min
    by_torch, by_kernel = (
        advanced(initial_state(spec, [0]), spec, minutes, which) for which in (None, kernel)
    )
    pairs += [(getattr(by_torch, name), getattr(by_kernel, name)) for name in FIELDS]
    if not all(torch.allclose(one, other, rtol=CHECKED_TO, atol=0) for one, other in pairs):
        raise NoKernelError(f"the steps compiled by {kernel.compiler} differ from those of torch")
    return kernel


def kernel_of(path: str, state: dict[str, Any] | None) -> Kernel:
    """The compiled steps with which a movie goes on from its saved state, or begins.

    Raises:
        SlimeError: they cannot be had here, or the movie was begun by other machine code.
    """
    try:
        kernel = checked_kernel()
    except NoKernelError as error:
        raise SlimeError(
            f"{path!r} was begun with compiled steps, which cannot be had: {error}; mend that, or "
            "remove what there is of it"
        ) from error
    if state is not None and state.get("kernel") != kernel.digest:
        raise SlimeError(
            f"{path!r} was begun with steps compiled to code {state.get('kernel')}, but here they "
            f"become {kernel.digest} ({kernel.compiler}): go on with that compiler on that "
            "processor, or remove what there is of it"
        )
    return kernel
