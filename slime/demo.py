"""The movies of the demo: simulated once, kept, and used where no store is given."""

from dataclasses import replace
from pathlib import Path

from slime.config import RunConfig
from slime.simulate import make_movies


def with_demo_stores(config: RunConfig) -> RunConfig:
    """The config itself where it names stores, else with the demo's, simulated where missing."""
    if config.data.stores:
        return config
    demo = config.demo
    paths = [Path(demo.folder) / f"demo-{i}.zarr" for i in range(demo.n_movies)]
    made = make_movies(
        demo.world,
        paths,
        seeds=list(range(demo.n_movies)),
        size_px=demo.size_px,
        n_frames=demo.n_frames,
        frame_interval_s=demo.frame_interval_s,
        progress=True,
    )
    return replace(config, data=replace(config.data, stores=[str(path) for path in made]))
