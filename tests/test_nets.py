import pytest
import torch

from slime.errors import SlimeError
from slime.nets import build_net

SIZE = (4, 5)


def built(kind, **changes):
    torch.manual_seed(0)
    settings = {"n_in": 2, "channels": 3, "size": SIZE, "width": 6, "depth": 3, "kernel": 3}
    return build_net(kind, **settings | changes)


@pytest.mark.parametrize("kind", ["frame_mlp", "patch_mlp", "cnn"])
def test_a_net_maps_the_frames_given_to_one_frame(kind):
    past = torch.rand(7, 2, 3, *SIZE)
    assert built(kind)(past).shape == (7, 3, *SIZE)


@pytest.mark.parametrize("kind", ["frame_mlp", "patch_mlp", "cnn"])
def test_every_parameter_gets_a_gradient(kind):
    net = built(kind)
    net(torch.rand(2, 2, 3, *SIZE)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


@pytest.mark.parametrize(("kind", "radius"), [("cnn", 3), ("patch_mlp", 1)])
def test_a_pixel_is_felt_as_far_as_the_receptive_radius_says(kind, radius):
    net = built(kind)
    past = torch.rand(1, 2, 3, 15, 15, requires_grad=True)
    net(past)[0, 0, 7, 7].backward()
    felt = past.grad.abs().sum(dim=(0, 1, 2)) > 0
    rows, columns = felt.nonzero(as_tuple=True)
    assert net.receptive_radius == radius
    assert (rows.min(), rows.max()) == (7 - radius, 7 + radius)
    assert (columns.min(), columns.max()) == (7 - radius, 7 + radius)


def test_a_patch_of_one_pixel_knows_no_neighbour():
    net = built("patch_mlp", kernel=1)
    past = torch.rand(1, 2, 3, *SIZE)
    other = past.clone()
    other[..., 0, 0] += 1
    changed = (net(past) != net(other)).any(dim=1)[0]
    assert changed.nonzero().tolist() == [[0, 0]]


@pytest.mark.parametrize("kind", ["patch_mlp", "cnn"])
def test_a_flat_frame_stays_flat_up_to_its_edges(kind):
    # Zero padding would darken the rim; replicated edges know no rim on a flat frame.
    output = built(kind)(torch.full((1, 2, 3, *SIZE), 0.7))
    assert torch.allclose(output, output[..., :1, :1].expand_as(output), atol=1e-6)


def test_both_frames_given_matter():
    net = built("cnn")
    past = torch.rand(1, 2, 3, *SIZE)
    for t in (0, 1):
        other = past.clone()
        other[:, t] += 1
        assert not torch.allclose(net(past), net(other))


@pytest.mark.parametrize("kind", ["frame_mlp", "patch_mlp", "cnn"])
def test_dropout_acts_in_training_alone(kind):
    net, past = built(kind, dropout=0.5), torch.rand(2, 2, 3, *SIZE)
    net.train()
    assert not torch.equal(net(past), net(past))
    net.eval()
    assert torch.equal(net(past), net(past))


def test_frame_mlp_refuses_a_hundred_million_weights_and_names_what_would_do():
    # a million pixels to 60 features and back: 2 * 60 million
    with pytest.raises(SlimeError, match=r"120 million weights.*patch_mlp or cnn"):
        built("frame_mlp", size=(1000, 1000), width=60, n_in=1, channels=1, depth=2)


def test_frame_mlp_refuses_frames_of_another_size():
    with pytest.raises(SlimeError, match="built for frames of"):
        built("frame_mlp")(torch.rand(1, 2, 3, 5, 4))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"width": 0}, "width=0"),
        ({"depth": 1}, "net.depth=1 must be at least 2"),
        ({"kernel": 4}, "net.kernel=4 must be odd"),
        ({"dropout": 1.0}, "net.dropout=1.0"),
    ],
)
def test_sizes_that_no_net_can_have_are_refused(changes, told):
    with pytest.raises(SlimeError, match=told):
        built("patch_mlp", **changes)


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(SlimeError, match="did you mean patch_mlp"):
        built("path_mlp")


def test_frame_mlp_needs_the_size_of_a_frame():
    with pytest.raises(SlimeError, match="needs size"):
        built("frame_mlp", size=None)
