"""Exercise D: what the perceptron computes, in Markdown and LaTeX, and what enters its dropout."""

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from foundations.exercise import Exercise, Outcome, Row, exactly
from foundations.nets import fresh, toy_mlp
from foundations.pictures import bare
from foundations.toys import moons

TEXT = r"""
**What the perceptron computes.** Each row $x \in \mathbb{R}^2$ of a batch
$X \in \mathbb{R}^{n \times 2}$ is a point. The net maps it to two numbers, the logits $z$ of the
two classes:

$$h_1 = \operatorname{ReLU}(W_1 x + b_1), \qquad
\tilde h_1 = \operatorname{Dropout}_{0.2}(h_1), \qquad
h_2 = \operatorname{ReLU}(W_2 \tilde h_1 + b_2), \qquad z = W_3 h_2 + b_3,$$

with $W_1 \in \mathbb{R}^{64 \times 2}$, $W_2 \in \mathbb{R}^{64 \times 64}$,
$W_3 \in \mathbb{R}^{2 \times 64}$: 192 + 4160 + 130 = 4482 numbers to learn. Softmax turns logits
into probabilities, $p_k = e^{z_k} / \sum_j e^{z_j}$, and the cross-entropy $-\log p_y$ of the true
class $y$, averaged over the batch, is what training lowers.

- **Linear**: $x \mapsto W x + b$, an affine map. Two of them with nothing in between are one,
  $W_2 (W_1 x + b_1) + b_2 = (W_2 W_1) x + (W_2 b_1 + b_2)$, and the boundary would be a straight
  line.
- **ReLU**: $\operatorname{ReLU}(a) = \max(0, a)$, entry by entry. It makes the net piecewise
  affine: each unit folds the plane along a line, and the boundary is made of straight pieces.
- **Dropout**, in training only: each entry is set to 0 with probability $q = 0.2$, the others are
  multiplied by $1 / (1 - q) = 1.25$, so that $\mathbb{E}[\tilde h_1] = h_1$. No unit can rely on
  one other alone. In evaluation it passes its input on as it is.

**What enters the dropout** is $h_1$, the output of the first hidden layer after its ReLU: of shape
$(n, 64)$, a row a point and a column a unit, no entry below 0.
"""


def dropout_input(net: nn.Module, x: Tensor) -> Tensor:
    """What a net's dropout is given when the net is called."""
    given: list[Tensor] = []
    (dropout,) = (m for m in net.modules() if isinstance(m, nn.Dropout))
    handle = dropout.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].detach()))
    net(x)
    handle.remove()
    return given[0]


def dropped(h: Tensor, *, seed: int = 0) -> Tensor:
    """What dropout of 0.2 makes of its input in training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.functional.dropout(h, 0.2)


def in_words() -> Outcome:
    """The statements of the text that can be measured."""
    (net,) = fresh(toy_mlp, (0,))
    h = dropout_input(net, moons().x)
    many = torch.ones(1_000_000)
    n_weights = sum(p.numel() for p in net.parameters())
    rows = [
        exactly("(n, 64) enters the dropout", tuple(h.shape) == (len(moons().x), 64)),
        Row("its least entry", [float(h.min())], "", 0.0, 0.0),
        Row(
            "weights to learn",
            [float(n_weights)],
            "",
            4482.0,
            4482.0,
        ),
        Row("dropout's mean of ones", [float(dropped(many).mean())], "", 0.997, 1.003),
        Row("the largest of them", [float(dropped(many).max())], "", 1.25, 1.25),
    ]

    def draw(figure: Figure) -> None:
        axes = bare(figure.add_subplot())
        values = {"h1, into the dropout": h, "out of it, in training": dropped(h)}
        for name, v in values.items():
            axes.hist(v.flatten().numpy(), bins=60, histtype="step", log=True, label=name)
        axes.set(xlabel="entry", ylabel="entries of 1200 points, 64 units")
        axes.legend(frameon=False)

    return Outcome(rows, draw, says=TEXT.strip())


EXERCISES = (Exercise("D", "the perceptron in words", in_words),)
