"""The parameters of a sweep file: which values they may take, checked and drawn as wandb does."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from slime.errors import SlimeError, nearest


class _Form(NamedTuple):
    """What a distribution needs, and what it may be given beside that."""

    needs: tuple[str, ...]
    may: tuple[str, ...] = ()


_ENDS = ("min", "max")
FORMS = {
    "constant": _Form(("value",)),
    "categorical": _Form(("values",)),
    "categorical_w_probabilities": _Form(("values", "probabilities")),
    "int_uniform": _Form(_ENDS),
    "uniform": _Form(_ENDS),
    "q_uniform": _Form(_ENDS, ("q",)),
    "log_uniform_values": _Form(_ENDS),
    "inv_log_uniform_values": _Form(_ENDS),
    "q_log_uniform_values": _Form(_ENDS, ("q",)),
    "normal": _Form((), ("mu", "sigma")),
    "q_normal": _Form((), ("mu", "sigma", "q")),
    "log_normal": _Form((), ("mu", "sigma")),
    "q_log_normal": _Form((), ("mu", "sigma", "q")),
    "beta": _Form((), ("a", "b")),
    "q_beta": _Form((), ("a", "b", "q")),
}
OF_EXPONENTS = ("log_uniform", "inv_log_uniform", "q_log_uniform")
ABOVE_0 = ("q", "sigma", "a", "b")


@dataclass(frozen=True)
class Parameter:
    """One setting that a sweep varies or fixes.

    Attributes:
        path: its name, and those of the parameters that it is nested in before it.
        kind: the name of its distribution.
    """

    path: tuple[str, ...]
    kind: str
    given: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The setting as it is written on a command line."""
        return ".".join(self.path)


def read_parameters(tree: Any, path: tuple[str, ...] = ()) -> list[Parameter]:
    """The parameters of a tree, nested ones too, in the order of their names.

    Raises:
        SlimeError: a parameter that is none, named with what would be right.
    """
    name = ".".join(path)
    if not isinstance(tree, Mapping) or not tree:
        where = f"parameters of {name}" if path else "parameters"
        raise SlimeError(f"{where} must name at least one setting and its values")
    found = []
    for key in sorted(tree, key=str):
        here, given = (*path, str(key)), tree[key]
        if not isinstance(given, Mapping):
            raise SlimeError(f"{'.'.join(here)}: {given} must be one of value, values, min and max")
        if "parameters" in given:
            _check_keys(".".join(here), given, _Form(("parameters",)))
            found += read_parameters(given["parameters"], here)
        else:
            found.append(_read(here, given))
    return found


def _read(path: tuple[str, ...], given: Mapping[str, Any]) -> Parameter:
    name, kind = ".".join(path), str(given.get("distribution") or _implied(".".join(path), given))
    if kind in OF_EXPONENTS:
        raise SlimeError(f"{name}: {kind} takes exponents; {kind}_values takes the values")
    if kind not in FORMS:
        raise SlimeError(f"{name}: there is no distribution {kind}{nearest(kind, FORMS)}")
    rest = {key: value for key, value in given.items() if key != "distribution"}
    _check_keys(name, rest, FORMS[kind])
    _check_values(name, kind, rest)
    return Parameter(path, kind, rest)


def _implied(name: str, given: Mapping[str, Any]) -> str:
    """The distribution that a parameter means without naming it."""
    if "value" in given:
        return "constant"
    if "values" in given:
        return "categorical_w_probabilities" if "probabilities" in given else "categorical"
    if not {"min", "max"} <= set(given):
        raise SlimeError(f"{name}: give value, values, or min and max")
    whole = all(isinstance(given[end], int) for end in _ENDS)
    return "int_uniform" if whole else "uniform"


def _check_keys(name: str, given: Mapping[str, Any], form: _Form) -> None:
    for key in given:
        if key not in (*form.needs, *form.may):
            known = (*form.needs, *form.may, "distribution")
            raise SlimeError(
                f"{name}: there is no {key} beside {', '.join(form.needs) or 'its distribution'}"
                f"{nearest(str(key), known)}"
            )
    for key in form.needs:
        if key not in given:
            raise SlimeError(f"{name}: {key} is missing")


def _check_values(name: str, kind: str, given: Mapping[str, Any]) -> None:
    for key in ("values", "probabilities"):
        if key in given and (not isinstance(given[key], list) or not given[key]):
            raise SlimeError(f"{name}: {key} is {given[key]}, not a list of at least one")
    for value in given.get("values", [given.get("value", 0)]):
        if value is None:
            raise SlimeError(f"{name}: wandb hands on null as the word None; leave it out instead")
    for key in given:
        if key not in ("value", "values", "probabilities"):
            _check_number(name, key, given[key], whole=kind == "int_uniform")
    if "min" in given and not given["min"] < given["max"]:
        raise SlimeError(f"{name}: min {given['min']} is not below max {given['max']}")
    if "log_uniform" in kind and given["min"] <= 0:
        raise SlimeError(f"{name}: min {given['min']} must be above 0, as it has a logarithm")
    if "probabilities" in given:
        _check_probabilities(name, given["values"], given["probabilities"])
    texts = [str(value) for value in given.get("values", ())]
    twice = [text for text in texts if texts.count(text) > 1]
    if twice:
        raise SlimeError(f"{name}: values name {twice[0]} twice")


def _check_number(name: str, key: str, value: Any, *, whole: bool) -> None:
    right = isinstance(value, int) if whole else isinstance(value, (int, float))
    if not right or isinstance(value, bool) or not math.isfinite(value):
        hint = ""
        if isinstance(value, str) and _is_float(value):
            hint = f": YAML reads {value} as a word, {float(value)!r} or 1.0e-3 as a number"
        raise SlimeError(f"{name}: {key} {value} is no {'whole ' if whole else ''}number{hint}")
    if key in ABOVE_0 and value <= 0:
        raise SlimeError(f"{name}: {key} {value} must be above 0")


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_probabilities(name: str, values: Sequence[Any], shares: Sequence[Any]) -> None:
    if len(values) != len(shares):
        raise SlimeError(f"{name}: {len(shares)} probabilities for {len(values)} values")
    for share in shares:
        _check_number(name, "probabilities", share, whole=False)
    if min(shares) < 0 or not math.isclose(sum(shares), 1, rel_tol=1e-5):
        raise SlimeError(f"{name}: probabilities {shares} must be 0 or more and add up to 1")


def grid_values(parameter: Parameter) -> list[Any]:
    """All values of a parameter in a grid.

    Raises:
        SlimeError: there is no end to them.
    """
    given = parameter.given
    if parameter.kind == "constant":
        return [given["value"]]
    if parameter.kind == "categorical":
        return list(given["values"])
    if parameter.kind == "int_uniform":
        return list(range(given["min"], given["max"] + 1))
    if parameter.kind == "q_uniform":
        return np.arange(given["min"], given["max"], given.get("q", 1.0)).tolist()
    raise SlimeError(
        f"{parameter.name}: {parameter.kind} cannot be gone through in a grid; give values, or "
        "method: random"
    )


def quantile(parameter: Parameter, share: float) -> Any:
    """The value under which a share (0 to 1, not 1 itself) of a parameter's draws falls."""
    given = parameter.given
    if parameter.kind == "constant":
        return given["value"]
    if "values" in given:
        equal = [1 / len(given["values"])] * len(given["values"])
        ends = np.cumsum(given.get("probabilities", equal))
        return given["values"][min(int(np.searchsorted(ends, share, "right")), len(ends) - 1)]
    if parameter.kind == "int_uniform":
        return given["min"] + int(share * (given["max"] + 1 - given["min"]))
    value = float(_CURVES[parameter.kind.removeprefix("q_").removeprefix("inv_")](given, share))
    if not parameter.kind.startswith("q_"):
        return value
    step = given.get("q", 1.0)
    rounded = float(np.round(value / step)) * step
    return int(rounded) if isinstance(step, int) else rounded


_CURVES: dict[str, Callable[[Mapping[str, Any], float], Any]] = {
    "uniform": lambda given, share: given["min"] + share * (given["max"] - given["min"]),
    "log_uniform_values": lambda given, share: math.exp(
        math.log(given["min"]) + share * math.log(given["max"] / given["min"])
    ),
    "normal": lambda given, share: stats.norm.ppf(
        share, given.get("mu", 0.0), given.get("sigma", 1.0)
    ),
    "log_normal": lambda given, share: stats.lognorm.ppf(
        share, given.get("sigma", 1.0), scale=math.exp(given.get("mu", 0.0))
    ),
    "beta": lambda given, share: stats.beta.ppf(share, given.get("a", 1), given.get("b", 1)),
}
