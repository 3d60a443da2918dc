"""What one of the processes of tests/test_ranks.py does: python ranks_job.py OUT key=value ..."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from test_training import SHAPE, fresh, movie

from slime.command import run_command
from slime.fit import fit
from slime.optim import OptimSpec
from slime.ranks import joined_ranks
from slime.split import Split
from slime.stepper import weights_hash
from slime.stream import WindowStream
from slime.windows import WindowSpec


class Seen:
    """A stream that writes down its windows, and on the way does as it is told."""

    def __init__(self, stream, fault, ranks):
        self.stream, self.fault, self.ranks = stream, fault, ranks
        self.wait_s, self.windows = 0.0, []

    def __len__(self):
        return len(self.stream)

    def __iter__(self):
        for i, batch in enumerate(self.stream):
            if i == 2 and self.ranks.rank == 1 and self.fault == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if i == 2 and self.ranks.rank == 1 and self.fault == "hangs":
                time.sleep(60)
            self.windows += batch.start.tolist()
            yield batch

    def state_dict(self):
        return self.stream.state_dict()

    def load_state_dict(self, state):
        self.stream.load_state_dict(state)


def main(words):
    out, told = Path(words[0]), dict(word.split("=") for word in words[1:])
    torch.set_num_threads(1)
    with joined_ranks() as ranks:
        where = {"rank": ranks.rank, "world_size": ranks.world_size}
        if "budget" in told:
            where["memory_budget"] = int(told["budget"])
        masked = "budget" not in told
        spec = WindowSpec(n_in=SHAPE.n_in)
        train = WindowStream(
            [movie(masked)], [Split("train", 0, 20)], spec, batch_size=7, seed=0, **where
        )
        val = WindowStream([movie(masked)], [Split("val", 22, 30)], spec, batch_size=4, **where)
        seen = Seen(train, told.get("fault"), ranks)
        stepper = fresh(dropout=0.0)
        optim = OptimSpec(epochs=2, lr=1e-2, accumulate=int(told.get("accumulate", 1)))
        ranks.draw_apart(0)
        ranks.begin_steps(torch.device("cpu"), 3.0)
        records = [record.row() for record in fit(stepper, seen, val, optim, ranks=ranks)]
        drawn = torch.rand(1).item()
        print("only the first speaks")
    (out / f"{ranks.rank}.json").write_text(
        json.dumps(
            {
                "windows": seen.windows,
                "records": records,
                "hash": weights_hash(stepper.state_dict()),
                "drawn": drawn,
            }
        )
    )
    torch.save(stepper.state_dict(), out / f"{ranks.rank}.pt")


if __name__ == "__main__":
    run_command(main)
