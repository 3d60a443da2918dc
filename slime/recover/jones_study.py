"""Sensor offset and angle recovered from simulated trails: bias and coverage on known truth."""

from slime.progress import Progress
from slime.recover.jones import (
    NAMES,
    Filming,
    drawn_parameters,
    estimate,
    simulated_table,
)
from slime.recover.truth import Trial
from slime.simulate.physarum_film import PhysarumCameraSpec
from slime.simulate.physarum_spec import PhysarumSpec

STEPS = (300, 350, 400)
INSIDE = 0.1  # of the range, on each side, is left out of the truths


def study_jones(
    *, n_table: int, n_truths: int, seed: int, progress: Progress | None = None
) -> list[Trial]:
    """Trials at truths drawn from within the range, on 100 x 100 points."""
    spec = PhysarumSpec(height_px=100, width_px=100)
    seconds = tuple(spec.step_s * n for n in STEPS)
    filming = Filming(spec, PhysarumCameraSpec(), STEPS, seconds)
    table = simulated_table(
        drawn_parameters(n_table, seed), filming, seed=10_000 * seed, progress=progress
    )
    truths = drawn_parameters(n_truths, seed + 1, inside=INSIDE)
    seen = simulated_table(truths, filming, seed=10_000 * seed + 5_000, progress=progress)
    found = estimate(table, seen.observables)
    trials = []
    for i in range(n_truths):
        for p, name in enumerate(NAMES):
            value, low, high, plain = (float(part[i, p]) for part in found)
            true = float(truths[i, p])
            trials.append(Trial("trail of 100 x 100", name, true, i, value, low, high, plain, ""))
    return trials
