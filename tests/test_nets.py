from typing import get_args

import pytest
import torch
from torch import nn

from slime.errors import SlimeError
from slime.nets import NetKind, build_net

SIZE = (4, 5)
KINDS = get_args(NetKind)
NEIGHBOURS = [kind for kind in KINDS if kind != "frame_mlp"]
LOCAL = [kind for kind in NEIGHBOURS if kind != "fno"]


def built(kind, **changes):
    torch.manual_seed(0)
    settings = {"n_in": 2, "channels": 3, "size": SIZE, "width": 6, "depth": 3}
    settings |= {"kernel": 3, "modes": 2}
    return build_net(kind, **settings | changes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_net_maps_the_frames_given_to_one_frame(kind):
    past = torch.rand(7, 2, 3, *SIZE)
    assert built(kind)(past).shape == (7, 3, *SIZE)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_gets_a_gradient(kind):
    net = built(kind)
    net(torch.rand(2, 2, 3, *SIZE)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


@pytest.mark.parametrize(
    ("kind", "radius"),
    [
        ("cnn", 3),
        ("patch_mlp", 1),
        ("dilated_resnet", 24),  # 1 + (1 + 2 + 4 + 8 + 4 + 2 + 1) + 1
        ("convgru", 4),  # in 1, over one step of time 1, the cell 1, out 1
        # below half of 64 px; the coarsest pixels are 4 px, so the reach depends on the pixel
        ("unet", 24),
        ("unet_convnext", 34),
    ],
)
def test_a_pixel_is_felt_as_far_as_the_receptive_radius_says(kind, radius):
    net, middle = built(kind), 40
    assert net.receptive_radius == radius
    reach = 0
    for pixel in range(middle, middle + 4):  # the phases of a U-Net's coarsest pixels
        past = torch.rand(1, 2, 3, 80, 80, requires_grad=True)
        net(past)[0, 0, pixel, pixel].backward()
        felt = past.grad.abs().sum(dim=(0, 1, 2)) > 0
        rows, columns = felt.nonzero(as_tuple=True)
        low, high = pixel - rows.min(), rows.max() - pixel
        assert (pixel - columns.min(), columns.max() - pixel) == (low, high)
        reach = max(reach, low, high)
    assert reach == radius


def test_every_pixel_of_a_fourier_net_feels_the_whole_frame():
    past = torch.rand(1, 2, 3, 24, 24, requires_grad=True)
    built("fno")(past)[0, 0, 0, 0].backward()
    assert (past.grad.abs().sum(dim=(0, 1, 2)) > 0).all()


@pytest.mark.parametrize("kind", NEIGHBOURS)
def test_on_a_torus_a_net_knows_no_edge(kind):
    # Rolled frames give the rolled forecast; with replicated edges the rim differs.
    past, by = torch.rand(1, 2, 3, 16, 24), (4, -8)  # whole pixels of a U-Net's coarsest level
    net = built(kind, edges="circular")
    rolled = net(past.roll(by, (-2, -1)))
    assert torch.allclose(rolled, net(past).roll(by, (-2, -1)), atol=1e-5)
    net = built(kind, edges="replicate")
    rolled = net(past.roll(by, (-2, -1)))
    assert not torch.allclose(rolled, net(past).roll(by, (-2, -1)), atol=1e-5)


@pytest.mark.parametrize("kind", ["unet", "unet_convnext"])
def test_a_unet_takes_frames_of_any_size(kind):
    # 13 x 22 is extended to 16 x 24 by its last rows and columns
    net, past = built(kind, depth=4), torch.rand(1, 2, 3, 13, 22)
    wide = torch.nn.functional.pad(past[0], (0, 2, 0, 3), mode="replicate")[None]
    inner = net(wide)[..., :10, :19]  # where the stencil sees no edge
    assert torch.allclose(net(past)[..., :10, :19], inner, atol=1e-6)


def test_a_torus_that_does_not_halve_is_refused():
    with pytest.raises(SlimeError, match=r"frames of 16 x 18 do not halve 2 times"):
        built("unet", edges="circular")(torch.rand(1, 2, 3, 16, 18))


def test_a_torus_smaller_than_a_layers_reach_is_refused():
    with pytest.raises(SlimeError, match="reaches 8 px, further than around its frames of 7 x 9"):
        built("dilated_resnet", edges="circular")(torch.rand(1, 2, 3, 7, 9))


def test_a_fourier_layer_multiplies_each_wave_by_its_own_matrix():
    # One channel: a cosine of wave number (1, 1) comes out scaled and shifted by its weight alone.
    layer = built("fno", edges="circular", n_in=1, channels=1, width=1).layers[0]
    nn.init.zeros_(layer.weights)
    nn.init.zeros_(layer.beside.weight)
    nn.init.zeros_(layer.beside.bias)
    weight = torch.tensor([0.6, 0.8])  # turns the phase by arccos(0.6)
    layer.weights.data[0, 0, 2, 1] = weight  # rows are -1, 0, 1
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    phase = 2 * torch.pi * (y + x) / 8
    wanted = torch.nn.functional.gelu(torch.cos(phase + torch.atan2(weight[1], weight[0])))
    assert torch.allclose(layer(torch.cos(phase)[None, None])[0, 0], wanted, atol=1e-5)


def test_waves_that_a_frame_does_not_hold_are_refused():
    with pytest.raises(SlimeError, match=r"net\.modes=12 needs frames of 24 px"):
        built("fno", modes=12)(torch.rand(1, 2, 3, 16, 16))


def test_a_recurrent_cell_is_torchs_where_frames_are_one_pixel():
    # On a frame of one pixel a 3 x 3 layer is the sum of its 9 weights: torch's GRU, its gates in
    # another order (reset, update, new) and its update gate keeping the old state as ours does.
    cell = built("convgru", width=5).cells[0]
    gru = nn.GRU(5, 5, batch_first=True)
    order = torch.cat([torch.arange(5, 10), torch.arange(5), torch.arange(10, 15)])
    with torch.no_grad():
        gru.weight_ih_l0.copy_(cell.of_input.weight.sum((2, 3))[order])
        gru.weight_hh_l0.copy_(cell.of_state.weight.sum((2, 3))[order])
        gru.bias_ih_l0.copy_(cell.of_input.bias[order])
        gru.bias_hh_l0.zero_()
    frames, state = torch.rand(2, 4, 5), torch.zeros(2, 5, 1, 1)
    for frame in frames.unbind(1):
        state = cell(frame[..., None, None], state)
    assert torch.allclose(state[..., 0, 0], gru(frames)[0][:, -1], atol=1e-6)


def test_a_patch_of_one_pixel_knows_no_neighbour():
    net = built("patch_mlp", kernel=1)
    past = torch.rand(1, 2, 3, *SIZE)
    other = past.clone()
    other[..., 0, 0] += 1
    changed = (net(past) != net(other)).any(dim=1)[0]
    assert changed.nonzero().tolist() == [[0, 0]]


@pytest.mark.parametrize("kind", NEIGHBOURS)
def test_a_flat_frame_stays_flat_up_to_its_edges(kind):
    # Zero padding would darken the rim; replicated edges know no rim on a flat frame.
    output = built(kind)(torch.full((1, 2, 3, *SIZE), 0.7))
    assert torch.allclose(output, output[..., :1, :1].expand_as(output), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_both_frames_given_matter(kind):
    net = built(kind)
    past = torch.rand(1, 2, 3, *SIZE)
    for t in (0, 1):
        other = past.clone()
        other[:, t] += 1
        assert not torch.allclose(net(past), net(other))


@pytest.mark.parametrize("kind", KINDS)
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
        ({"edges": "circle"}, "net.edges='circle' .* did you mean circular"),
    ],
)
def test_sizes_that_no_net_can_have_are_refused(changes, told):
    with pytest.raises(SlimeError, match=told):
        built("patch_mlp", **changes)


@pytest.mark.parametrize("kind", ["dilated_resnet", "convgru", "fno"])
def test_a_net_of_no_block_is_refused(kind):
    with pytest.raises(SlimeError, match=f"net.depth=2 must be at least 3 for net.kind={kind}"):
        built(kind, depth=2)


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(SlimeError, match="did you mean patch_mlp"):
        built("path_mlp")


def test_frame_mlp_needs_the_size_of_a_frame():
    with pytest.raises(SlimeError, match="needs size"):
        built("frame_mlp", size=None)
