"""The record of a run: metrics.jsonl always, and wandb as a mirror of it."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from slime.errors import SlimeError, one_line, span_text
from slime.files import append_line, read_lines, write_text
from slime.settings import setting

LEFT = "metrics.jsonl alone is written"


@dataclass(frozen=True)
class TrackingSpec:
    """Where a run is logged beside its own folder."""

    wandb: Literal["online", "offline", "disabled"] = setting(
        "offline", "offline needs no account and no network; sync the run when you like"
    )
    project: str = setting("slime", "the wandb project")


class Tracker:
    """Appends each epoch to metrics.jsonl and mirrors it to wandb; use it as a context.

    Nothing is ever read back from wandb: an offline run that resumes starts there again, and a
    kill loses its last rows. So a run that goes on is mirrored anew, with the epochs it has.
    """

    def __init__(self, run: Path, spec: TrackingSpec, config: Mapping[str, Any]):
        self.metrics, self.run = run / "metrics.jsonl", run
        self._wandb = _start(run, spec, config) if spec.wandb != "disabled" else None
        for row in read_lines(self.metrics) if self._wandb is not None else ():
            self._log_row(row)

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._mirror(lambda mirror: mirror.finish(exit_code=0 if kind is None else 1))

    def log(self, row: Mapping[str, Any]) -> None:
        """One epoch's numbers."""
        append_line(self.metrics, row)
        self._log_row(row)

    def log_scores(self, numbers: Mapping[str, float]) -> None:
        """Final scores, by name, into the mirror's summary."""
        self._mirror(lambda mirror: mirror.summary.update(dict(numbers)))

    def log_images(self, figures: Path) -> None:
        """The run's pictures into the mirror."""

        def log(mirror: Any) -> None:
            import wandb

            stills, films = (sorted(figures.glob(f"*.{kind}")) for kind in ("png", "gif"))
            pictures: dict[str, Any] = {f"figures/{p.stem}": wandb.Image(str(p)) for p in stills}
            for p in films:
                pictures[f"figures/{p.stem}"] = wandb.Video(str(p), format="gif")
            mirror.log(pictures)

        self._mirror(log)

    def _log_row(self, row: Mapping[str, Any]) -> None:
        named = {wandb_key(key): value for key, value in row.items()}
        self._mirror(lambda mirror: mirror.log(named))

    def _mirror(self, tell: Callable[[Any], object]) -> None:
        """Tell wandb; where that fails the run goes on without its mirror, and it is said."""
        if self._wandb is None:
            return
        try:
            tell(self._wandb)
        except Exception as error:  # its client raises many kinds
            self._wandb = None
            print(f"note: the wandb mirror has ended ({one_line(error)}): {LEFT}", file=sys.stderr)

    @property
    def sync_command(self) -> str | None:
        """The command that uploads an offline run."""
        if self._wandb is None or self._wandb.settings.mode != "offline":
            return None
        return f"wandb sync {shlex.quote(str(Path(self._wandb.dir).parent))}"


def wandb_key(key: str) -> str:
    """What wandb calls a number of an epoch.

    >>> wandb_key("val_skill"), wandb_key("lr")
    ('val/skill', 'train/lr')
    """
    return f"val/{key[4:]}" if key.startswith("val_") else f"train/{key}"


def default_entity() -> str:
    """Whose runs are when nobody says so; asks wandb's server.

    Raises:
        SlimeError: there is no account, or no answer.
    """
    import wandb

    try:
        return str(wandb.Api(timeout=20).default_entity)
    except Exception as error:  # wandb's client raises many kinds
        told = " ".join(str(error).split())[:200]
        raise SlimeError(f"wandb knows no account here ({told}): run wandb login first") from error


def cut_metrics(run: Path, epochs: int) -> list[str]:
    """Keep the lines of the first `epochs` epochs: a resumed run makes the later ones again.

    Gives a note where lines are lost.
    """
    path = run / "metrics.jsonl"
    rows = [row for row in read_lines(path) if row["epoch"] <= epochs]
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    lost = sorted(set(range(1, epochs + 1)) - {row["epoch"] for row in rows})
    return [f"metrics.jsonl has lost the lines of epochs {span_text(lost)}"] if lost else []


def _start(run: Path, spec: TrackingSpec, config: Mapping[str, Any]) -> Any:
    if find_spec("wandb") is None:
        if spec.wandb == "online":
            raise SlimeError("tracking.wandb=online needs wandb: pip install wandb")
        print(f"note: wandb is not installed: {LEFT}", file=sys.stderr)
        return None
    # wandb stages files in the home folder unless each of these says otherwise.
    folder = run / "wandb"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        os.environ[name] = str(run.resolve() if name == "WANDB_DIR" else folder.resolve())
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    try:
        import wandb

        started = wandb.init(
            project=spec.project,
            name=run.name,
            dir=str(run),
            mode=spec.wandb,
            config=dict(config),
            settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
        )
    except Exception as error:  # it raises many kinds
        told = one_line(error)
        if spec.wandb == "online":
            raise SlimeError(f"wandb refuses to start ({told}): tracking.wandb=disabled") from error
        print(f"note: wandb refuses to start ({told}): {LEFT}", file=sys.stderr)
        return None
    started.define_metric("train/epoch")
    started.define_metric("*", step_metric="train/epoch")
    return started
