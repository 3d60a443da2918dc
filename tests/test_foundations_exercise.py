import math

import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from foundations import __main__ as command
from foundations import registry
from foundations.exercise import Erratum, Exercise, Outcome, Row, exactly
from foundations.registry import UnknownExerciseError, exercise
from foundations.table import band_text, erratum_text, figure_text, outcome_text


def a_line(figure: Figure) -> None:
    figure.add_subplot().plot([0, 1], [1, 0])


def an_exercise(number, *rows, errata=()):
    return Exercise(number, "try", lambda: Outcome(rows, a_line, errata=errata))


@pytest.fixture
def three(monkeypatch):
    """Three exercises: one inside its band, one outside, one with an erratum."""
    inside = an_exercise("X1", Row("fits", [0.5, 0.7], "0.61", 0.4, 0.8))
    outside = an_exercise("X2", Row("does not", [0.9], "", 0.4, 0.8), exactly("this does", True))
    wrong = Erratum("took the last", 3.0, "it is not the mean", "take the mean", 2.0)
    last = an_exercise("X3", exactly("a", True), errata=[wrong])
    known = {e.id: e for e in (inside, outside, last)}
    monkeypatch.setattr(registry, "exercises", lambda: known)
    monkeypatch.setattr(command, "exercises", lambda: known)
    return known


def test_a_row_holds_only_where_every_seed_lies_in_the_band():
    assert Row("a", [0.4, 0.8], "", 0.4, 0.8).passed
    assert not Row("a", [0.5, 0.9], "", 0.4, 0.8).passed
    assert Row("a", [0.5, 0.9], "", 0.4, 0.8, judged="mean").passed
    assert not Row("a", [math.nan], "", -math.inf, math.inf).passed


def test_the_spread_is_the_deviation_over_seeds():
    assert (
        figure_text(Row("a", [1.0, 2.0, 3.5], "", 0.0, 9.0)) == "2.1667 ± 1.2583"
    )  # sqrt(19 / 12)
    assert figure_text(Row("a", [1.0], "", 0.0, 9.0)) == "1"
    assert figure_text(Row("a", [2e-7, 4e-7], "", 0.0, 9.0)) == "3.0e-07 ± 1.4e-07"


def test_bands_are_told_in_words():
    bands = [(1.0, 1.0), (0.1, 2.0), (-math.inf, 2.0), (0.1, math.inf), (-math.inf, math.inf)]
    said = [band_text(Row("a", [1.0], "", low, high)) for low, high in bands]
    assert said == ["exactly 1", "0.1 to 2", "at most 2", "at least 0.1", "any"]


def test_a_row_without_figure_or_band_is_refused():
    with pytest.raises(ValueError, match="the row 'a' has no figure"):
        Row("a", [], "", 0.0, 1.0)
    with pytest.raises(ValueError, match=r"the row 'a' has no band: 2\.0 to 1\.0"):
        Row("a", [1.0], "", 2.0, 1.0)


def test_the_table_counts_rows_out_of_their_band_in_its_last_line(three, capsys):
    assert command.main([]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "1 of 4 rows out of their band"
    assert [line.split()[-1] for line in printed[2:-1]] == ["in", "OUT", "in", "in"]
    assert "0.6000 ± 0.1414" in printed[2]
    assert "0.61" in printed[2]
    three.pop("X2")
    assert command.main([]) == 0
    assert capsys.readouterr().out.endswith("\n0 of 2 rows out of their band\n")


def test_one_exercise_tells_its_errata_and_saves_its_figure(three, capsys, tmp_path):
    path = tmp_path / "folder" / "it.png"
    assert command.main(["x3", f"out={path}"]) == 0
    printed = capsys.readouterr().out
    assert f"figure: {path}" in printed
    assert (
        "erratum: took the last: 3\n  wrong: it is not the mean\n  right: take the mean: 2"
        in printed
    )
    assert pyplot.imread(path).shape == (440, 704, 4)  # 6.4 by 4 inches, 110 points each
    assert [p.name for p in path.parent.iterdir()] == ["it.png"]


def test_without_a_display_the_figure_is_saved_here(three, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(["X1"]) == 0
    assert (tmp_path / "X1.png").exists()
    assert "figure: X1.png" in capsys.readouterr().out


def test_with_a_display_a_window_shows_it_and_nothing_is_saved(three, tmp_path, monkeypatch):
    shown = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pyplot, "get_backend", lambda: "TkAgg")
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(len(pyplot.gcf().axes)))
    assert command.main(["X1"]) == 0
    pyplot.close("all")
    assert shown == [1]
    assert not list(tmp_path.iterdir())


def test_several_exercises_save_their_figures_into_a_folder(three, tmp_path):
    command.main(["X1", "X3", f"out={tmp_path}"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["X1.png", "X3.png"]


def test_an_unknown_number_is_refused_with_those_that_there_are(three):
    with pytest.raises(UnknownExerciseError, match="no exercise 'X9'; there are X1, X2, X3"):
        exercise("X9")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["seed=1"], "'seed=1': the one setting is out=PATH"),
        (["out="], "'out=': the one setting is out=PATH"),
        (["X1", "out=a.docx"], "out=a.docx: a figure is saved as one of"),
        ([f"out={__file__}"], "is a file; the figures of several exercises need a folder"),
    ],
)
def test_words_that_mean_nothing_are_refused(three, words, says):
    with pytest.raises(command.UsageError, match=says):
        command.main(words)


def test_mistakes_end_in_one_line_and_exit_code_2(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["foundations", "Z9"])
    assert command.ended() == 2
    told = capsys.readouterr().err
    assert told.startswith("foundations: no exercise 'Z9'")
    assert told.count("\n") == 1


def test_no_two_exercises_have_one_number(monkeypatch):
    monkeypatch.setattr(registry, "MODULES", ("tensors", "tensors"))
    with pytest.raises(ValueError, match="two exercises are numbered T1"):
        registry.exercises()


def test_an_erratum_tells_both_figures():
    said = erratum_text(Erratum("a", 0.123456, "b", "c", 7.0))
    assert said.splitlines() == ["erratum: a: 0.1235", "  wrong: b", "  right: c: 7"]


def test_an_outcome_alone_tells_rows_and_errata(three):
    assert (
        outcome_text(three["X1"].run()) == "fits  0.6000 ± 0.1414  (reference 0.61)  [0.4 to 0.8]"
    )
    assert outcome_text(three["X2"].run()).splitlines()[0].endswith("[0.4 to 0.8]  OUT")
    assert "erratum: took the last: 3" in outcome_text(three["X3"].run())
