"""Where will they aggregate? Mound centres from the first K frames, on held-out movies.

python scripts/predict_mounds.py [CONFIG.yaml] [STORE ...] [key=value ...] out=PATH

Without a store it simulates an ensemble first. --help lists every key. A study that was interrupted
goes on when it is started again with the same words.
"""

from collections.abc import Sequence

from slime.aggregation import (
    Nets,
    all_found,
    check_folder,
    help_text,
    make_study,
    parse_words,
    read_dishes,
    score_rows,
    summary_table,
    train_nets,
    with_movies,
    write_config,
)
from slime.aggregation.writing import (
    net_facts,
    study_facts,
    summary_text,
    write_choices,
    write_found,
    write_table,
    write_truth,
)
from slime.arguments import wants_help
from slime.command import run_command
from slime.devices import pick_device
from slime.plots import save_figure
from slime.plots.aggregation import error_against_given, map_page, shown_dishes, shown_maps
from slime.progress import bar


def main(words: Sequence[str]) -> None:
    """Read, train, forecast and score; prints what the truth is and how far off each model is."""
    if wants_help(words):
        print(help_text())
        return
    asked = parse_words(words)
    device = pick_device(asked.device)
    folder = check_folder(asked)
    spec = with_movies(asked, progress=bar)
    study = make_study(read_dishes(spec, progress=bar), spec)
    write_config(asked, folder)
    for line in study_facts(study, spec):
        print(line)
    write_truth(study, spec, folder / "truth.csv")

    nets = Nets(study, spec, folder / "nets", device)
    for line in train_nets(nets, progress=bar):
        print(line)
    print(net_facts(nets))
    found = list(all_found(nets, progress=bar))
    scores = score_rows(study, found)
    summary = summary_table(scores, n_draws=spec.draws, level=spec.level, seed=spec.seed)

    write_found(study, spec, found, folder / "found.csv")
    write_choices(found, folder / "choices.csv")
    write_table(scores, folder / "scores.csv")
    write_table(summary, folder / "summary.csv")
    figure = error_against_given(summary, study.rule.max_um, spec.level)
    save_figure(figure, folder / "figures" / "error_against_k.png")
    maps = shown_maps(study, found, spec.seed)
    save_figure(map_page(study, maps, shown_dishes(study)), folder / "figures" / "maps.png")
    print(summary_text(summary))
    print(f"{folder}: summary.csv, scores.csv, found.csv, truth.csv, figures/")


if __name__ == "__main__":
    run_command(main)
