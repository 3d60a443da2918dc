"""Several processes train one net: the same windows and losses, and an end when one is lost."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from slime.errors import SlimeError
from slime.ranks import ALONE, Ranks, joined_ranks, refuse_ranks

JOB = Path(__file__).with_name("ranks_job.py")
NUMBERS = ("train_loss", "val_loss", "val_mse", "val_skill", "grad_norm")


def together(out, n, *words):
    """The exit code, stdout and stderr of each of n processes."""
    out.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    started = [
        subprocess.Popen(
            [sys.executable, JOB, out, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**common, "WORLD_SIZE": str(n), "RANK": str(rank), "OMP_NUM_THREADS": "1"},
        )
        for rank in range(n)
    ]
    told = []
    try:
        for process in started:
            said, complained = process.communicate(timeout=120)
            told.append((process.returncode, said, complained))
    finally:
        for process in started:
            process.kill()
            process.communicate()
    return told


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    out = tmp_path_factory.mktemp("ranks") / "1"
    assert together(out, 1)[0][0] == 0
    return out, json.loads((out / "0.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(("n", "words"), [(2, []), (3, []), (2, ["accumulate=2"])])
def test_ranks_train_on_each_window_once_and_to_the_losses_of_one(tmp_path, alone, n, words):
    out = tmp_path / "run"
    told = together(out, n, *words)
    assert [code for code, *_ in told] == [0] * n, told
    assert [said for _, said, _ in told] == ["only the first speaks\n", *[""] * (n - 1)]
    ranks = [json.loads((out / f"{rank}.json").read_text()) for rank in range(n)]
    windows = [start for rank in ranks for start in rank["windows"]]
    assert sorted(windows) == sorted([*range(18), *range(18)])  # two epochs
    assert len({rank["hash"] for rank in ranks}) == 1
    assert len({rank["drawn"] for rank in ranks}) == n  # dropout would be each one's own
    if words:
        return
    one = torch.load(alone[0] / "0.pt", weights_only=True)
    for name, weight in torch.load(out / "0.pt", weights_only=True).items():
        # sums in another order; after 6 steps of AdamW, whose first divide by small numbers
        torch.testing.assert_close(weight, one[name], rtol=1e-3, atol=1e-5)
    for rank in ranks:
        for mine, whole in zip(rank["records"], alone[1]["records"], strict=True):
            assert [mine[k] for k in NUMBERS] == pytest.approx(
                [whole[k] for k in NUMBERS], rel=1e-4
            )


@pytest.mark.slow
def test_streamed_ranks_share_the_windows_though_in_another_order(tmp_path):
    out = tmp_path / "run"
    assert [code for code, *_ in together(out, 2, "budget=1600")] == [0, 0]
    ranks = [json.loads((out / f"{rank}.json").read_text()) for rank in range(2)]
    assert sorted(ranks[0]["windows"] + ranks[1]["windows"]) == sorted([*range(18), *range(18)])
    assert ranks[0]["hash"] == ranks[1]["hash"]
    losses = [[record["train_loss"] for record in rank["records"]] for rank in ranks]
    assert losses[0] == losses[1]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["killed", "hangs"])
def test_a_rank_that_dies_or_hangs_ends_the_others_with_an_error(tmp_path, fault):
    began = time.monotonic()
    first, second = together(tmp_path / "run", 2, f"fault={fault}")
    assert first[0] == 2
    assert "rank 0 lost touch with another, which has ended or hung" in first[2]
    assert "resume=true goes on" in first[2]
    assert len(first[2].strip().splitlines()) == 1
    assert second[0] != 0
    assert time.monotonic() - began < 100


def test_alone_every_exchange_is_what_it_was_given():
    values = torch.tensor([1.0, 2.0])
    ALONE.add_up(values)
    assert values.tolist() == [1.0, 2.0]
    assert ALONE.gathered("a") == ["a"]
    assert ALONE.highest([1.0, 3.0]) == [1.0, 3.0]
    assert ALONE.shared(lambda: 5) == 5
    with joined_ranks() as ranks:
        assert (ranks.rank, ranks.world_size, ranks.text()) == (0, 1, "")


def test_each_rank_has_a_device_of_its_own(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    cuda = torch.device("cuda")
    assert Ranks(5, 8, local=1).device(cuda) == torch.device("cuda", 1)
    assert chosen == [1]
    assert Ranks(1, 2, local=1).device(torch.device("cpu")) == torch.device("cpu")
    assert ALONE.device(cuda) == cuda
    with pytest.raises(SlimeError, match=r"process 3 on a machine of 2 GPUs.*nproc-per-node=2"):
        Ranks(2, 3, local=2).device(cuda)
    with pytest.raises(SlimeError, match="train on cuda or cpu, not on device=mps"):
        Ranks(1, 2, local=1).device(torch.device("mps"))


def test_what_one_process_has_to_do_is_refused_under_torchrun(monkeypatch):
    refuse_ranks("this")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SlimeError, match="this: leave out torchrun"):
        refuse_ranks("this")
