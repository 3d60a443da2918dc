"""An exercise in a notebook: its rows and errata as text, its drawing as the cell's picture."""

from matplotlib.figure import Figure

from foundations.exercise import drawn
from foundations.registry import exercise
from foundations.table import header, lines, told


def show(number: str) -> Figure:
    """Run an exercise, print what `python -m foundations NUMBER` prints, and give its figure.

    Raises:
        UnknownExerciseError: there is none of that number.
    """
    one = exercise(number)
    outcome = one.run()
    print(header(), *lines(one, outcome), "", *told(outcome), sep="\n")
    return drawn(outcome)
