"""The test split of a study is opened once, when all is chosen; the ledger beside it tells."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from omegaconf import OmegaConf

from slime.run.folder import hash_of, open_test
from slime.stepper import Stepper, weights_hash
from slime.studies.spec import StudySpec
from slime.studies.worlds import World


def open_once(spec: StudySpec, world: World, split: str, steppers: Sequence[Stepper]) -> list[str]:
    """Enter the opening of a world's test split by these steppers, unless it is there already.

    Gives a note where the split had been opened before; nothing of other splits.
    """
    if split != "test":
        return []
    weights = hash_of([weights_hash(stepper.state_dict()) for stepper in steppers])
    run = Path(spec.out).expanduser() / world.name
    done = run / f"opened-{weights}"
    if done.exists():
        return []
    frames = [
        report.table.digest[cut[split].start : cut[split].stop].tolist()
        for report, cut in zip(world.prepared.reports, world.prepared.splits, strict=True)
        if split in cut
    ]
    opening = open_test(
        run,
        split_hash=hash_of(frames),
        config_yaml=OmegaConf.to_yaml(OmegaConf.create(asdict(replace(spec, out="")))),
        weights_hash=weights,
    )
    done.touch()
    if opening == 1:
        return []
    return [
        f"{world.name}: the test split has now been opened {opening} times (ledger.jsonl): what "
        "was chosen after an earlier opening is no longer held out"
    ]
