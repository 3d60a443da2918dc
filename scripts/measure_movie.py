"""What a biologist measures: python scripts/measure_movie.py STORE|RUN out=PATH [key=value ...].

Waves, singularities, mounds and structure of each channel, with units and intervals, as tables and
pictures; of a run, those of its movies and of its forecasts. --help lists every key.
"""

from collections.abc import Sequence
from pathlib import Path

from baselines.of_run import fit_rivals
from slime.arguments import wants_help
from slime.audit_stores import folder_name
from slime.checkpoint import load_run
from slime.command import run_command
from slime.devices import pick_device
from slime.files import write_text
from slime.observables.command import (
    MeasureSpec,
    OfMovie,
    help_text,
    measure_store,
    parse_words,
    silences,
    write_tables,
)
from slime.observables.table import table_text
from slime.plots import save_figure
from slime.plots.observables import observables_page
from slime.plots.rollouts import rollout_page
from slime.prepare import prepare
from slime.progress import bar
from slime.run.measured import is_run, measure_forecasts, measure_parts, open_parts, run_config


def main(words: Sequence[str]) -> int:
    """Measure every movie of a store or of a run, print the tables and write them."""
    if wants_help(words):
        print(help_text())
        return 0
    name, spec = parse_words(words)
    if is_run(name):
        given = [word for word in words if word != name]
        measure_run(Path(name), spec, given, Path(spec.out or Path("measured") / Path(name).name))
        return 0
    measured = measure_store(name, spec, progress=bar)
    for of_movie in measured:
        label = folder_name(str(of_movie.movie.name))
        folder = Path(spec.out) if spec.out else Path("measured") / label
        write_movie(of_movie, folder / label if spec.out and len(measured) > 1 else folder)
    return 0


def write_movie(of_movie: OfMovie, folder: Path) -> None:
    """Print and write the tables and pictures of a movie."""
    write_tables(of_movie, folder)
    for line in silences(of_movie.movie):
        print(f"note: {line}")
    for one in of_movie.channels:
        print(f"{of_movie.movie.name}, channel {one.field.channel}: {len(one.field.frames)} frames")
        if one.field.note:
            print(f"note: {one.field.note}")
        print(table_text(one.rows))
        picture = folder / f"observables_{folder_name(one.field.channel)}.png"
        save_figure(observables_page(one, f"{of_movie.movie.name}, {one.field.channel}"), picture)
    print(f"  {folder / 'observables.csv'}, and a picture of each channel")


def measure_run(run: Path, spec: MeasureSpec, given: Sequence[str], out: Path) -> None:
    """The movies that a run was trained on, and its forecasts beside them; test stays closed."""
    config = run_config(run, spec, given)
    device = pick_device(config.device)
    saved = load_run(run, device=device)
    prepared = prepare(config.data, config.window, seed=config.seed, progress=bar)
    parts, budget = open_parts(prepared), config.data.memory_budget
    for part, of_movie in zip(parts, measure_parts(parts, spec, budget, progress=bar), strict=True):
        print(f"note: {part.movie.name}: {part.text}; test is not opened here")
        write_movie(of_movie, out / folder_name(str(part.movie.name)))
    rivals = fit_rivals(config, prepared, device=device, progress=bar)
    n_in = max(saved.shape.n_in, *(rival.n_in for rival in rivals.values()))
    models = {saved.net.kind: lambda _: saved.stepper}
    models |= {name: rival.for_movie for name, rival in rivals.items()}
    found = measure_forecasts(
        config, prepared, models, spec, n_in=n_in, device=device, progress=bar
    )
    for note in found.notes:
        print(f"note: {note}")
    write_text(out / "forecast.csv", found.table.to_csv(index=False))
    print(f"  {out / 'forecast.csv'}: the run's forecasts and the baselines beside the truth")
    if found.shown:
        save_figure(rollout_page(found.shown, saved.net.kind, found.where), out / "forecast.png")


if __name__ == "__main__":
    run_command(main)
