"""Structural similarity of frames, under a Gaussian of 11 x 11 pixels."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

SIDE, SIGMA_PX = 11, 1.5
K1, K2 = 0.01, 0.03


def ssim_frames(
    forecast: Float[Tensor, "n c y x"],
    truth: Float[Tensor, "n c y x"],
    data_range: Float[Tensor, " c"],
    mask: Bool[Tensor, "n c y x"] | None = None,
) -> Float[Tensor, "n c"]:
    """SSIM of each frame (Wang et al. 2004, doi 10.1109/TIP.2003.819861), 1 where both are equal.

    The mean over pixels whose neighbourhood lies in the frame. Masked pixels have no weight in
    their neighbours' means and are not averaged over; NaN where no pixel is left. A forecast that
    is not finite has 0, the limit of one that grows.

    Args:
        data_range: of each channel, movie units; the same for every frame that is compared.
    """
    height, width = truth.shape[-2:]
    if min(height, width) < SIDE:
        return torch.full(truth.shape[:2], torch.nan)
    seen = torch.ones_like(truth) if mask is None else mask.to(truth.dtype)
    # Variances are taken about the truth's mean, where squares lose no digits to an offset.
    offset = (truth * seen).sum((-2, -1), keepdim=True)
    offset = offset / seen.sum((-2, -1), keepdim=True).clamp(min=1)
    p, y = (torch.where(seen > 0, v - offset, 0.0) for v in (forecast, truth))
    fields = [p, y, p * p, y * y, p * y]
    weight = _smooth(seen) if mask is not None else torch.ones(())
    mean_p, mean_y, p2, y2, both = (_smooth(v) / weight.clamp(min=1e-6) for v in fields)
    covariance = both - mean_p * mean_y
    variances = p2 - mean_p**2 + y2 - mean_y**2
    mean_p, mean_y = mean_p + offset, mean_y + offset
    c1, c2 = ((k * data_range[:, None, None]) ** 2 for k in (K1, K2))
    structure = (2 * covariance + c2) / (variances + c2)
    light = (2 * mean_p * mean_y + c1) / (mean_p**2 + mean_y**2 + c1)
    rim = SIDE // 2
    inner = seen[..., rim : height - rim, rim : width - rim]
    n = inner.sum((-2, -1))
    total = torch.where(inner > 0, light * structure, 0.0).sum((-2, -1))
    total = torch.where(p.isfinite().flatten(2).all(2), total, 0.0)
    return torch.where(n > 0, total / n.clamp(min=1), torch.nan)


def _smooth(field: Float[Tensor, "n c y x"]) -> Float[Tensor, "n c h w"]:
    """Gaussian means of the pixels whose neighbourhood lies in the frame."""
    at = torch.arange(SIDE, dtype=field.dtype, device=field.device) - SIDE // 2
    line = torch.exp(-(at**2) / (2 * SIGMA_PX**2))
    line = line / line.sum()
    flat = field.flatten(0, 1)[:, None]
    rows = F.conv2d(flat, line.view(1, 1, SIDE, 1))
    smooth = F.conv2d(rows, line.view(1, 1, 1, SIDE))[:, 0]
    return smooth.unflatten(0, field.shape[:2])
