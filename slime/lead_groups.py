"""Leads as a table names them: one by one, or several together as in The Well."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from slime.score import Tally

WINDOWS = ((6, 12), (13, 30))  # first and last lead


class Group(NamedTuple):
    """Leads that are scored as one.

    Attributes:
        lead: of the row; 0 where there are several.
        suffix: of the score's name: `_6:12` of leads 6 to 12, both counted.
        places: along the lead axis of a tally.
    """

    lead: int
    suffix: str
    places: tuple[int, ...]


def each_lead(leads: Sequence[int], first: int = 1) -> list[Group]:
    """Leads by themselves, of a tally whose lead axis holds `leads`; those below `first` are not.

    >>> each_lead([1, 2, 4], first=2)
    [Group(lead=2, suffix='', places=(1,)), Group(lead=4, suffix='', places=(2,))]
    """
    return [Group(lead, "", (i,)) for i, lead in enumerate(leads) if lead >= first]


def windows_of(n_leads: int) -> list[Group]:
    """The windows 6:12 and 13:30, as far as `n_leads` reach.

    >>> windows_of(8)
    [Group(lead=0, suffix='_6:8', places=(5, 6, 7))]
    """
    cut = [(first, min(last, n_leads)) for first, last in WINDOWS]
    return [Group(0, f"_{a}:{b}", tuple(range(a - 1, b))) for a, b in cut if a < b]


def grouped(
    terms: Float[np.ndarray, "windows term lead channel"], groups: Sequence[Group]
) -> Float[np.ndarray, "windows term group channel"]:
    """Terms added up over the leads of each group."""
    return np.stack([terms[:, :, list(group.places)].sum(axis=2) for group in groups], axis=2)


def grouped_tally(tally: Tally, groups: Sequence[Group]) -> Tally:
    """A tally whose lead axis holds groups."""
    return replace(tally, sums=grouped(tally.sums, groups))
