"""The physics of a movie: python scripts/recover_physics.py STORE [key=value ...].

sigma and k_e of Martiel-Goldbeter from a movie of g, the diffusion of a field (what=stencil), or
the sensors of Jones' agents from their trail (what=jones), with intervals; study=rates, stencil or
jones measures bias and coverage on movies of known truth. --help lists every key.
"""

from collections.abc import Sequence
from pathlib import Path

from slime.arguments import wants_help
from slime.audit_stores import folder_name
from slime.command import run_command
from slime.files import write_text
from slime.observables.table import Row, csv_text, table_text
from slime.plots import save_figure
from slime.plots.recover import jones_page, rates_page, stencil_page, truth_page
from slime.prepare import open_stores
from slime.progress import bar
from slime.recover.command import RecoverSpec, help_text, parse_words
from slime.recover.jones_movie import jones_of_movie
from slime.recover.jones_study import study_jones
from slime.recover.rates_movie import rates_of_movie
from slime.recover.rates_study import study_rates
from slime.recover.stencil_movie import stencil_of_movie
from slime.recover.stencil_study import study_stencils
from slime.recover.truth import COLUMNS, SUMMARY, summaries


def main(words: Sequence[str]) -> int:
    """Recover what the words ask for, print it and write it."""
    if wants_help(words):
        print(help_text())
        return 0
    store, spec = parse_words(words)
    if store is None:
        _study(spec)
    else:
        _recover(store, spec)
    return 0


def _recover(store: str, spec: RecoverSpec) -> None:
    data = spec.data(store)
    movies = open_stores(data)[0]
    for movie in movies:
        label = folder_name(str(movie.name))
        folder = Path(spec.out) if spec.out else Path("recovered") / label
        folder = folder / label if spec.out and len(movies) > 1 else folder
        if spec.what == "rates":
            rates = rates_of_movie(
                movie, store, spec.rate_choices, memory_budget=data.memory_budget, progress=bar
            )
            rows, figure = rates.rows, rates_page(rates, str(movie.name))
        elif spec.what == "jones":
            jones = jones_of_movie(
                movie,
                store,
                n_table=spec.table,
                seed=spec.seed,
                memory_budget=data.memory_budget,
                progress=bar,
            )
            rows, figure = jones.rows, jones_page(jones, str(movie.name))
        else:
            stencil = stencil_of_movie(
                movie, spec.stencil_choices, memory_budget=data.memory_budget, progress=bar
            )
            rows, figure = stencil.rows, stencil_page(stencil, str(movie.name))
        lines = [(str(movie.name), *row) for row in rows]
        write_text(folder / f"{spec.what}.csv", csv_text(("movie", *Row._fields), lines))
        save_figure(figure, folder / f"{spec.what}.png")
        print(f"{movie.name}:")
        print(table_text(rows))
        print(f"  {folder / f'{spec.what}.csv'} and {spec.what}.png")


def _study(spec: RecoverSpec) -> None:
    more = []
    if spec.study == "rates":
        trials = study_rates(n_seeds=spec.seeds, n_copies=spec.copies, seed=spec.seed, progress=bar)
    elif spec.study == "jones":
        trials = study_jones(
            n_table=spec.table, n_truths=8 * spec.seeds, seed=spec.seed, progress=bar
        )
    else:
        trials, more = study_stencils(n_seeds=spec.seeds, seed=spec.seed, progress=bar)
    folder = Path(spec.out or f"recovered/study-{spec.study}")
    rows = summaries(trials) + more
    write_text(folder / f"{spec.study}_movies.csv", csv_text(COLUMNS, trials))
    write_text(folder / f"{spec.study}.csv", csv_text(SUMMARY, rows))
    title = f"{spec.study}: errors on known truth"
    save_figure(truth_page(trials, title), folder / f"{spec.study}.png")
    for condition, parameter, score, value, low, high, n in rows:
        interval = f"{low:+.4f} to {high:+.4f}" if low == low else ""
        print(f"  {condition:<20} {parameter:<16} {score:<18} {value:+.4f}  {interval:<22} n {n}")
    print(f"  {folder / f'{spec.study}.csv'}, {spec.study}_movies.csv and {spec.study}.png")


if __name__ == "__main__":
    run_command(main)
