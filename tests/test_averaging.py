import pytest
import torch
from torch import nn

from slime.averaging import Averaged


class One(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))


def moved(decay, values):
    module = One(0.0)
    average = Averaged(module, decay)
    for n, value in enumerate(values, start=1):
        module.value.data.fill_(value)
        average.update(n)
    return module, average


def test_the_mean_forgets_the_first_weights_soon():
    # kept: 2/11 of 0 after step 1, then 3/12 of that; the decay is far off still
    module, average = moved(0.999, [11.0, 12.0])
    after_one = 11 * (1 - 2 / 11)
    average.show()
    assert module.value.item() == pytest.approx(after_one * 3 / 12 + 12 * 9 / 12)


def test_late_steps_keep_the_decay():
    module, average = moved(0.5, [1.0] * 40 + [3.0])
    average.show()
    assert module.value.item() == pytest.approx(0.5 * 1 + 0.5 * 3)


def test_the_trained_weights_come_back():
    module, average = moved(0.5, [1.0, 2.0])
    average.show()
    average.show()
    assert module.value.item() != 2
    assert [w.item() for w in average.trained()] == [2.0]
    average.hide()
    average.hide()
    assert module.value.item() == 2
    assert [w.item() for w in average.trained()] == [2.0]


def test_it_goes_on_from_the_mean_and_the_trained_weights():
    whole, average = moved(0.9, [1.0, 2.0, 5.0])
    average.show()
    half, first = moved(0.9, [1.0, 2.0])
    first.show()
    again = Averaged(half, 0.9, trained=first.trained())
    again.hide()
    assert half.value.item() == 2
    half.value.data.fill_(5.0)
    again.update(3)
    again.show()
    assert half.value.item() == whole.value.item()
