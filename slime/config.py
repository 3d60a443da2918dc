"""RunConfig: everything that a run was told, composed of the specs that each noun owns."""

import math
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from slime.data_spec import DataSpec
from slime.errors import SlimeError
from slime.nets import NetSpec
from slime.optim import OptimSpec
from slime.settings import in_one_line, setting
from slime.tracking import TrackingSpec
from slime.windows import WindowSpec


@dataclass(frozen=True)
class DemoSpec:
    """The movies that are simulated where no store is given."""

    world: str = setting("dictyostelium", "what is simulated")
    n_movies: int = setting(3, "movies, each of its own seed")
    size_px: int = setting(64, "height and width, pixels of 50 um")
    n_frames: int = setting(400, "frames a movie")
    frame_interval_s: float = setting(15.0, "seconds between frames")
    folder: str = setting("data", "where the movies are kept")


@dataclass(frozen=True)
class ScoreSpec:
    """How far ahead forecasts are scored, and how sure the scores are."""

    leads: int = setting(32, "frames ahead to score; fewer where a split is short, which is said")
    draws: int = setting(1000, "resamplings of the block bootstrap")
    level: float = setting(0.95, "coverage of the intervals")
    observables: Any = setting(
        "auto",
        "measure waves, tips, mounds and structure on free rollouts (true, false; auto leaves them "
        "out where they are long)",
    )
    rollout: int | None = setting(
        None, "frames of these rollouts; by default as many as the split holds"
    )

    def __post_init__(self) -> None:
        if self.observables not in (True, False, "auto"):
            raise SlimeError(f"score.observables={self.observables} must be auto, true or false")
        if self.rollout is not None and self.rollout < 1:
            raise SlimeError(f"score.rollout={self.rollout} must be at least 1")
        if self.leads < 1:
            raise SlimeError(f"score.leads={self.leads} must be at least 1")
        if self.draws < 1:
            raise SlimeError(f"score.draws={self.draws} must be at least 1")
        if not 0 < self.level < 1:
            raise SlimeError(f"score.level={self.level} must be between 0 and 1")


@dataclass(frozen=True)
class LandscapeSpec:
    """The loss-landscape plane of the page."""

    points: int = setting(11, "points a side, odd; 0 draws none")
    windows: int = setting(16, "validation windows that the loss is taken over")
    radius: float = setting(1.0, "how far to go along each filter-normalised direction")
    snapshots: int = setting(
        12, "weights kept along the training, for its trajectory (scripts/plot_landscape.py)"
    )

    def __post_init__(self) -> None:
        if self.points != 0 and (self.points < 3 or self.points % 2 == 0):
            raise SlimeError(
                f"landscape.points={self.points} must be odd and at least 3, so that the trained "
                "net is a point, or 0 for none"
            )
        if self.windows < 1:
            raise SlimeError(f"landscape.windows={self.windows} must be at least 1")
        if self.snapshots < 0:
            raise SlimeError(f"landscape.snapshots={self.snapshots} must be at least 0")
        if not 0 < self.radius < math.inf:
            raise SlimeError(f"landscape.radius={self.radius} must be above 0")


@dataclass(frozen=True)
class RunConfig:
    """The whole tree; printed into the run's folder as it was used."""

    data: DataSpec = field(default_factory=DataSpec)
    window: WindowSpec = field(default_factory=WindowSpec)
    net: NetSpec = field(default_factory=NetSpec)
    optim: OptimSpec = field(default_factory=OptimSpec)
    score: ScoreSpec = field(default_factory=ScoreSpec)
    landscape: LandscapeSpec = field(default_factory=LandscapeSpec)
    tracking: TrackingSpec = field(default_factory=TrackingSpec)
    demo: DemoSpec = field(default_factory=DemoSpec)
    seed: int = setting(0, "of the weights, the shuffle and the augmentation")
    device: str = setting("auto", "auto takes cuda, then mps, then cpu")
    out: str | None = setting(None, "the run's folder; runs/<config>-<time> by default")
    resume: bool = setting(False, "go on with the run in `out`")
    save_every_s: float = setting(300.0, "seconds between saves within an epoch")
    rank_timeout_s: float = setting(
        600.0, "seconds after which a process of several that does not answer ends the training"
    )
    test: bool = setting(False, "open the test split at the end of training (once, see ledger)")
    sanity: Any = setting(
        "auto",
        "controls that the run must survive: those that take a second or two (auto), all (true), "
        "none (false)",
    )

    def __post_init__(self) -> None:
        if self.net.kind == "frame_mlp" and self.data.crop is not None:
            raise SlimeError("data.crop cuts windows, but net.kind=frame_mlp sees whole frames")
        if self.optim.pushforward and self.window.n_out < 2:
            raise SlimeError(
                f"optim.pushforward learns from forecasts fed back: window.n_out="
                f"{self.window.n_out} must be at least 2 for it"
            )
        if self.optim.unroll_after and self.window.n_out < 2:
            raise SlimeError(
                f"optim.unroll_after={self.optim.unroll_after} says when later leads come in: "
                f"window.n_out={self.window.n_out} must be at least 2 for it"
            )
        if self.sanity not in (True, False, "auto"):
            raise SlimeError(f"sanity={self.sanity} must be auto, true or false")
        for name in ("save_every_s", "rank_timeout_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise SlimeError(f"{name}={getattr(self, name)} must be above 0 and finite")
        if not 0 <= self.seed < 2**63:
            raise SlimeError(f"seed={self.seed} must be at least 0 and below 2**63")


def default_tree() -> Any:
    """Every setting at its default, open to changes."""
    return unlocked(OmegaConf.structured(RunConfig))


def config_from_yaml(text: str) -> RunConfig:
    """The config that was written into a run's folder or checkpoint."""
    tree = default_tree()
    return as_config(merged(tree, OmegaConf.create(text)))


def run_tree(text: str) -> Any:
    """A run's config, open to changes."""
    return unlocked(OmegaConf.structured(config_from_yaml(text)))


def config_yaml(config: Any) -> str:
    """The whole tree as YAML."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def unlocked(tree: Any) -> Any:
    """Frozen dataclasses come as read-only nodes; while settings are merged they are not."""
    OmegaConf.set_readonly(tree, False)
    for key in tree:
        node = tree._get_node(key)
        if isinstance(node, DictConfig):
            unlocked(node)
    return tree


def merged(tree: Any, change: Any) -> Any:
    """The tree under a change; an unknown key or a value of the wrong kind is a SlimeError."""
    try:
        return OmegaConf.merge(tree, change)
    except OmegaConfBaseException as error:
        raise SlimeError(in_one_line(error, RunConfig)) from error
    except TypeError as error:
        raise SlimeError(
            "a setting is given twice, as a list and as {name: value}: give one kind for it "
            f"({in_one_line(error, RunConfig)})"
        ) from error


def as_config(tree: Any) -> RunConfig:
    """The frozen tree; its specs check themselves."""
    try:
        config = OmegaConf.to_object(tree)
    except OmegaConfBaseException as error:
        raise SlimeError(in_one_line(error, RunConfig)) from error
    assert isinstance(config, RunConfig)
    return config
