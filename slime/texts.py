"""Times, skills and other numbers as people read them."""

import math


def duration_text(seconds: float) -> str:
    """A time in the unit in which it reads best.

    >>> duration_text(45.0), duration_text(480.0), duration_text(9000.0)
    ('45 s', '8 min', '2.5 h')
    """
    unit, n_seconds = time_unit(seconds)
    return f"{seconds / n_seconds:.3g} {unit}"


def time_unit(seconds: float) -> tuple[str, float]:
    """The unit that suits times up to `seconds`, and its length in s."""
    if abs(seconds) < 120:
        return "s", 1.0
    return ("min", 60.0) if abs(seconds) < 7200 else ("h", 3600.0)


def lead_text(lead: int, lead_s: float | None) -> str:
    """'lead 8 (8 min)', or 'lead 8' where the frame interval is unknown."""
    return f"lead {lead} ({duration_text(lead * lead_s)})" if lead_s else f"lead {lead}"


def skill_text(skill: float) -> str:
    """A skill with its sign, a true minus, to three decimals where that is not too many.

    >>> skill_text(0.41), skill_text(-28.77)
    ('+0.410', '−28.8')
    """
    return (f"{skill:+.3f}" if abs(skill) < 10 else f"{skill:+.1f}").replace("-", "−")


def number_text(value: float, figures: int = 3) -> str:
    """A few figures, small numbers by a power of ten, a true minus before.

    >>> number_text(0.000307), number_text(0.171), number_text(5120.4)
    ('3.07e-4', '0.171', '5120')
    """
    if not math.isfinite(value):
        return str(value)
    sign, size = "−" if value < 0 else "", abs(value)
    if size and not 1e-2 <= size < 1e4:
        digits, power = f"{size:.{figures - 1}e}".split("e")
        return f"{sign}{float(digits):.{figures}g}e{int(power)}"
    return f"{sign}{size:.0f}" if size >= 1000 else f"{sign}{size:.{figures}g}"
