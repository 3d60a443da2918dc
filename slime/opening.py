"""How a store is opened by the commands that look at one: the settings that they share."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from slime.data_spec import DataSpec
from slime.settings import setting


@dataclass(frozen=True)
class OpeningSpec:
    """The settings of a command that opens stores, named as training names them after `data.`."""

    out: str | None = setting(None, "folder of what is written")
    variable: str | None = setting(None, "array of a group that holds several")
    axes: Any = setting(None, "meaning of the stored axes, TCZYX or time,channel,z,y,x")
    channels: Any = setting(None, "names or numbers of the channels to look at; all by default")
    z: Any = setting("max", "projection of the z axis: max, mean or the number of a slice")
    mask: str | None = setting(
        None, "where pixels count: a variable of the store (~ inverts), a path"
    )
    frame_interval_s: float | None = setting(None, "seconds between frames; replaces the store's")
    pixel_um: float | None = setting(None, "micrometres a pixel; replaces the store's")
    movie: int | None = setting(None, "which movie, where a store has an axis of them; all else")
    memory_gib: float = setting(2.0, "decoded frames held in memory at once, GiB")

    def data(self, store: str) -> DataSpec:
        """The same settings as training reads them, of one store."""
        known = {field.name for field in fields(DataSpec)}
        return DataSpec(stores=[store], **{k: v for k, v in asdict(self).items() if k in known})
