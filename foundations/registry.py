"""All exercises in order: a module joins by its name here and a tuple EXERCISES of its own."""

from importlib import import_module

from foundations.exercise import Exercise

MODULES: tuple[str, ...] = (
    # tensors, distributions, data, regression, perceptron
    "tensors",
    "broadcasting",
    "distributions",
    "points",
    "regression",
    "multivariate",
    "losses",
    "perceptron",
    "perceptron_in_words",
    # images, too good to be true, Stack G
    "cnn",
    "explained",
    "stack_g",
)


class UnknownExerciseError(ValueError):
    """An exercise that there is not."""


def exercises() -> dict[str, Exercise]:
    """Every exercise by its number, in order.

    Raises:
        ValueError: two exercises have the same number.
    """
    found: dict[str, Exercise] = {}
    for module in MODULES:
        for exercise in import_module(f"foundations.{module}").EXERCISES:
            if exercise.id in found:
                raise ValueError(f"two exercises are numbered {exercise.id}")
            found[exercise.id] = exercise
    return found


def exercise(number: str) -> Exercise:
    """One exercise by its number, in whichever case it is written.

    Raises:
        UnknownExerciseError: there is none of that number.
    """
    found = exercises()
    by_fold = {known.casefold(): known for known in found}
    if number.casefold() not in by_fold:
        raise UnknownExerciseError(f"no exercise {number!r}; there are {', '.join(found)}")
    return found[by_fold[number.casefold()]]
