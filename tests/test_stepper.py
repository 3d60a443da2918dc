import pytest
import torch
from torch import nn

from slime.errors import SlimeError
from slime.scale import Standardizer
from slime.stepper import Stepper, rollout


class Constant(nn.Module):
    """A net that says the same number everywhere, in standard units."""

    def __init__(self, value):
        super().__init__()
        self.value, self.seen = value, None

    def forward(self, past):
        self.seen = past
        return torch.full_like(past[:, -1], self.value)


def scale():
    return Standardizer(
        torch.tensor([10.0, 100.0]), torch.tensor([2.0, 20.0]), torch.tensor([0.5, 4.0])
    )


def test_rollout_feeds_back_the_newest_frames_in_order():
    def fibonacci(past):
        return past[:, -2] + past[:, -1]

    past = torch.tensor([0.0, 1.0])[None, :, None, None, None].expand(1, 2, 1, 3, 4)
    assert rollout(fibonacci, past, 6)[0, :, 0, 2, 3].tolist() == [1, 2, 3, 5, 8, 13]


def test_a_direct_head_reads_the_output_in_standard_units():
    # 10 + 1.5 * 2 = 13 and 100 + 1.5 * 20 = 130
    step = Stepper(scale(), Constant(1.5), "direct")
    assert step(torch.rand(1, 1, 2, 3, 4))[0, :, 0, 0].tolist() == [13.0, 130.0]


def test_a_residual_head_adds_the_output_in_units_of_the_change():
    # last frame 7 and 9, plus 2 * 0.5 and 2 * 4
    step = Stepper(scale(), Constant(2.0), "residual")
    past = torch.tensor([7.0, 9.0])[None, None, :, None, None].expand(1, 1, 2, 3, 4)
    assert step(past)[0, :, 1, 1].tolist() == [8.0, 17.0]


def test_a_gated_head_is_a_residual_one_until_it_learns_what_stays():
    past = torch.tensor([7.0, 140.0])[None, None, :, None, None].expand(1, 1, 2, 3, 4)
    step = Stepper(scale(), Constant(2.0), "gated")
    assert step(past)[0, :, 1, 1].tolist() == [8.0, 148.0]  # 7 + 2 * 0.5 and 140 + 2 * 4
    with torch.no_grad():
        step.gate.copy_(torch.tensor([0.0, 0.5]))
    # 10 + 2 * 0.5, nothing of the last frame; 100 + 0.5 * 40 + 2 * 4
    assert step(past)[0, :, 1, 1].tolist() == [11.0, 128.0]


def test_the_net_sees_standard_units():
    net = Constant(0.0)
    Stepper(scale(), net, "direct")(torch.full((1, 1, 2, 3, 4), 14.0))
    assert net.seen[0, 0, :, 0, 0].tolist() == pytest.approx([2.0, -4.3])


def test_a_stepper_reads_the_newest_frames_of_a_longer_past():
    net = Constant(0.0)
    Stepper(scale(), net, "direct", n_in=2)(
        torch.arange(5.0)[None, :, None, None, None].expand(1, 5, 2, 3, 4)
    )
    assert net.seen[0, :, 0, 0, 0].tolist() == [(3 - 10) / 2, (4 - 10) / 2]


def test_too_few_frames_are_refused():
    with pytest.raises(SlimeError, match="1 frames were given, but the net reads 2"):
        Stepper(scale(), Constant(0.0), "direct", n_in=2)(torch.rand(1, 1, 2, 3, 4))


def test_an_unknown_head_names_the_nearest():
    with pytest.raises(SlimeError, match="did you mean residual"):
        Stepper(scale(), Constant(0.0), "residuel")


@pytest.mark.parametrize("n_steps", [0, -1])
def test_a_rollout_needs_a_step(n_steps):
    with pytest.raises(SlimeError, match="at least 1 is needed"):
        rollout(lambda past: past[:, -1], torch.rand(1, 1, 1, 2, 2), n_steps)


def test_a_rollout_needs_a_frame_to_start_from():
    with pytest.raises(SlimeError, match="must have axes b t c y x, t above 0"):
        rollout(lambda past: past[:, -1], torch.rand(1, 0, 1, 2, 2), 1)


def test_the_scale_is_saved_with_the_net():
    state = Stepper(scale(), nn.Conv2d(1, 1, 1), "direct").state_dict()
    assert state["scale.mean"].tolist() == [10.0, 100.0]
