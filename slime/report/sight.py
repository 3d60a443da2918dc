"""How far the net sees beside how far fronts move, as the page tells of it."""

from collections.abc import Mapping
from typing import Any

from slime.fronts import Front, describe_field, short_sight


def sight_sentences(about: Mapping[str, Any]) -> list[str]:
    """What the net sees in one lead and, where it is less than fronts move, that; run.json's."""
    net = about.get("net", {})
    if "receptive_radius" not in net:
        return []
    fronts = [Front(**front) for front in about.get("fronts", [])]
    told = str(net.get("kind", "the net")), net["receptive_radius"], fronts
    return [f"{text}." for text in (describe_field(*told), *short_sight(*told))]
