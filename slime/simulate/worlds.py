"""The worlds that can be filmed: each a set of constants, a camera and an iterator of shots."""

from slime.errors import SlimeError, nearest
from slime.simulate.camera import CHANNELS, CameraSpec
from slime.simulate.dictyostelium_fields import FieldsSpec, FieldsWriter, ProbeSpec, film_fields
from slime.simulate.dictyostelium_film import check_cells, film_dictyostelium, n_reactions
from slime.simulate.dictyostelium_spec import DictyosteliumSpec
from slime.simulate.filming import World
from slime.simulate.lookalike import DishSpec, StackRecording, StackSpec, StackWriter, film_stacks
from slime.simulate.physarum_film import PhysarumCameraSpec, check_times, film_physarum
from slime.simulate.physarum_spec import PhysarumSpec
from slime.simulate.sgro_film import ReporterSpec, film_sgro, n_excitations
from slime.simulate.sgro_spec import SgroSpec

_DICTYOSTELIUM = World(
    name="dictyostelium",
    spec=DictyosteliumSpec,
    camera=CameraSpec,
    channels=lambda camera: CHANNELS,
    pixel_um=lambda spec: round(1000 * spec.dx_mm, 9),
    film=film_dictyostelium,
    check=check_cells,
    n_updates=n_reactions,
)
_FIELDS = World(
    name="dictyostelium_fields",
    spec=FieldsSpec,
    camera=ProbeSpec,
    channels=lambda probe: probe.channels,
    pixel_um=lambda spec: round(1000 * spec.dx_mm, 9),
    film=film_fields,
    n_updates=n_reactions,
    writer=FieldsWriter,
)
_SGRO = World(
    name="sgro",
    spec=SgroSpec,
    camera=ReporterSpec,
    channels=lambda camera: ("camp",),
    pixel_um=lambda spec: spec.pixel_um,
    film=film_sgro,
    n_updates=n_excitations,
)
_PHYSARUM = World(
    name="physarum",
    spec=PhysarumSpec,
    camera=PhysarumCameraSpec,
    channels=lambda camera: camera.channels,
    pixel_um=lambda spec: spec.pixel_um,
    film=film_physarum,
    check=check_times,
)
_LOOKALIKE = World(
    name="lookalike",
    spec=DishSpec,
    camera=StackSpec,
    channels=lambda _: ("camp",),
    pixel_um=lambda spec: round(1000 * spec.dx_mm, 9),
    film=film_stacks,
    check=check_cells,
    n_updates=n_reactions,
    recording=StackRecording,
    writer=StackWriter,
    names="dish {}.zarr",
)
WORLDS = {world.name: world for world in (_DICTYOSTELIUM, _FIELDS, _SGRO, _PHYSARUM, _LOOKALIKE)}


def find_world(name: str) -> World:
    """The world of this name.

    Raises:
        SlimeError: there is none; names the nearest.
    """
    if name not in WORLDS:
        known = ", ".join(WORLDS)
        raise SlimeError(f"there is no world {name!r} (there are: {known}){nearest(name, WORLDS)}")
    return WORLDS[name]
