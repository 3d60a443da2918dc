"""sigma and k_e recovered from simulated movies: bias and coverage against noise."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from slime.progress import Progress
from slime.recover.observer import Setup, steps_between
from slime.recover.rates import recover_rates
from slime.recover.truth import Trial
from slime.simulate.dictyostelium_fields import FieldsSpec
from slime.simulate.dictyostelium_film import dictyostelium_states
from slime.simulate.filming import Recording, Take

TRUTHS = ((0.5, 6.0), (0.5, 7.0), (0.6, 7.0), (0.7, 8.0))  # sigma, k_e; all keep on pulsing
NOISES = (0.02, 0.1)  # K_R; crests are 2 to 4
INTERVAL_S, WARM_UP_MIN, N_FRAMES = 15.0, 8.0, 100


def study_rates(
    *, n_seeds: int, n_copies: int, seed: int, progress: Progress | None = None
) -> list[Trial]:
    """Trials at every truth, seed and noise: 32 x 32 points of 0.1 mm for 25 min."""
    cases = [(truth, one) for truth in TRUTHS for one in range(seed, seed + n_seeds)]
    films = [known_signal(*truth, seed=one) for truth, one in cases]
    clean = torch.cat([frames for frames, _ in films])
    minutes = INTERVAL_S / 60
    spec = films[0][1]
    setup = Setup(spec, minutes, steps_between(spec, minutes), round(WARM_UP_MIN / minutes))
    trials = []
    for noise in NOISES:
        generator = Generator().manual_seed(seed + 1)
        seen = clean + noise * torch.randn(clean.shape, generator=generator)
        rates = recover_rates(seen, setup, n_copies=n_copies, seed=seed, progress=progress)
        low, high = rates.interval()
        for m, (truth, one) in enumerate(cases):
            for p, parameter in enumerate(("sigma", "k_e")):
                value, bottom, top, plain = (
                    v[m, p].exp().item() for v in (rates.parameters, low, high, rates.fitted)
                )
                label = f"noise {noise:g} K_R"
                trials.append(
                    Trial(
                        label, parameter, truth[p], one, value, bottom, top, plain, rates.reason[m]
                    )
                )
    return trials


def known_signal(
    sigma: float, k_e: float, *, seed: int, n_px: int = 32, n_frames: int = N_FRAMES
) -> tuple[Float[Tensor, "1 t y x"], FieldsSpec]:
    """g of a small dish from its first pulses on, and its spec: coarse, and true to itself."""
    spec = FieldsSpec(
        height_px=n_px,
        width_px=n_px,
        dx_mm=0.1,
        dt_min=0.02,
        move_min=0.02,
        sigma_per_min=sigma,
        k_e_per_min=k_e,
        pulses_per_mm2=0.3,
    )
    recording = Recording(n_frames=n_frames, frame_interval_s=INTERVAL_S, warm_up_min=2.0)
    states = dictyostelium_states(spec, recording, Take([seed]))
    return torch.stack([state.signal.g for state in states], dim=1), spec
