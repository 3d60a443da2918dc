import numpy as np
import torch

from slime.gather import Frames


def test_a_mask_that_repeats_and_may_not_be_written_is_held_once_and_read_without_a_warning():
    once = np.array([[True, False, True]])
    mask = np.broadcast_to(once, (6, 2, 1, 3))
    held = Frames(0, np.zeros((6, 2, 1, 3), "uint8"), mask).mask_tensor
    assert torch.equal(held, torch.from_numpy(mask.copy()))
    assert held.untyped_storage().nbytes() == 3


def test_a_mask_that_may_be_written_stays_where_it_is():
    mask = np.ones((2, 1, 3, 3), bool)
    held = Frames(0, np.zeros((2, 1, 3, 3), "uint8"), mask).mask_tensor
    assert held.data_ptr() == mask.ctypes.data
