"""Which controls a run is asked for, before and after its training, and where they are kept."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from foundations.sanity import Verdict, draw_curves
from slime.files import write_json
from slime.plots import save_figure
from slime.progress import Progress
from slime.sanity.cheap import cheap_controls
from slime.sanity.setting import Setting, random_state_kept
from slime.sanity.trained import trained_controls
from slime.sanity.trials import overfit_control, shuffle_controls
from slime.stepper import Stepper

Asked = Callable[[], list[Verdict]]


def before_training(setting: Setting, *, progress: Progress | None = None) -> list[Verdict]:
    """Controls of the fresh net and of its data: none, the cheap ones or all, as `sanity` says.

    Training goes on as if they had not been asked.
    """
    asked: list[Asked] = []
    if setting.config.sanity:
        asked.append(partial(cheap_controls, setting))
    if setting.config.sanity is True:
        asked += [lambda: [overfit_control(setting)], partial(shuffle_controls, setting)]
    return _answers(asked, progress)


def after_training(
    setting: Setting, stepper: Stepper, *, progress: Progress | None = None
) -> list[Verdict]:
    """Controls of the trained net, where `sanity` asks for all."""
    all_asked = setting.config.sanity is True
    return _answers([partial(trained_controls, setting, stepper)] if all_asked else [], progress)


def _answers(asked: Sequence[Asked], progress: Progress | None) -> list[Verdict]:
    with random_state_kept():
        steps = progress(asked, len(asked), "controls") if progress else asked
        return [verdict for ask in steps for verdict in ask()]


def outcome_text(verdicts: Sequence[Verdict], *, whole: bool) -> str:
    """How many passed; a line for each, where `whole`, else for those that failed."""
    n_passed = sum(v.passed for v in verdicts)
    lines = [f"controls: {n_passed} of {len(verdicts)} passed"]
    for v in verdicts:
        if whole or not v.passed:
            state = "passed" if v.passed else "FAILED"
            figure = f"{v.figure:.3g}" if v.applies else "–"
            state = state if v.applies else "–"
            lines.append(f"  {state:7} {v.name:18} {figure:>9}  {band_text(v):14}  {v.says}")
    return "\n".join(lines)


def band_text(verdict: Verdict) -> str:
    """The band of a figure in words."""
    low, high = verdict.low, verdict.high
    if low == high:
        return f"exactly {low:g}"
    if math.isfinite(low) and math.isfinite(high):
        return f"{low:g} to {high:g}"
    if math.isfinite(high):
        return f"at most {high:g}"
    return f"at least {low:g}" if math.isfinite(low) else "any"


def write_controls(run: Path, verdicts: Sequence[Verdict]) -> None:
    """sanity.json, and a figure of what was trained for the controls; nothing where none was."""
    if not verdicts:
        return
    write_json(run / "sanity.json", {"verdicts": [_row(v) for v in verdicts]})
    drawn = [v for v in verdicts if v.curves]
    if drawn:
        figure = Figure(figsize=(4.6 * len(drawn), 3.4), layout="constrained")
        for axes, verdict in zip(
            figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True
        ):
            draw_curves(axes, verdict)
        save_figure(figure, run / "figures" / "sanity.png")


def _row(verdict: Verdict) -> Mapping[str, Any]:
    """A verdict as plain values; what is not finite is null."""

    def plain(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "name": verdict.name,
        "figure": plain(verdict.figure),
        "low": plain(verdict.low),
        "high": plain(verdict.high),
        "band": band_text(verdict),
        "passed": verdict.passed,
        "applies": verdict.applies,
        "says": verdict.says,
        "curves": {name: list(curve) for name, curve in verdict.curves.items()},
    }
