"""0.6 to 0.11: draws, probabilities by lgamma, densities, a mixture over its probabilities."""

import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import Categorical, Gamma, MixtureSameFamily, Normal, Poisson

from foundations.exercise import SEEDS, Exercise, Outcome, Row, exactly
from foundations.pictures import bare, draw_matrices

RATES = (2.0, 7.0)  # of the two Poisson laws of the mixture
STATED = {1: (0.3679, 0.3679, 0.1839, 0.0613, 0.0153), 5: (0.0067, 0.0337, 0.0842, 0.1404, 0.1755)}
DENSITIES = {0.5: -1.0, 2.0: -1.2274, 5.0: -5.3948}
N_DRAWS = (100, 1000, 10_000, 100_000)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def poisson_draws(n: int = 100, *, rate: float = 4.5, seed: int = 0) -> Int[Tensor, " n"]:
    """0.6: draws of a Poisson law."""
    return torch.poisson(torch.full((n,), rate), generator=_generator(seed)).long()


def poisson_table(
    rates: Float[Tensor, "..."], counts: Float[Tensor, " j"]
) -> Float[Tensor, "... j"]:
    """0.7: exp(-l) l^j / j! for every rate l and count j, by way of logarithms."""
    rates = rates[..., None]
    return (counts * rates.log() - rates - torch.lgamma(counts + 1)).exp()


def gamma_log_density(
    x: Float[Tensor, " n"], *, shape: float = 3.0, rate: float = 2.0
) -> Float[Tensor, " n"]:
    """0.8: log of rate^shape x^(shape - 1) exp(-rate x) / Gamma(shape)."""
    a, b = torch.tensor(shape), torch.tensor(rate)
    return a * b.log() + (a - 1) * x.log() - b * x - torch.lgamma(a)


def mixture() -> MixtureSameFamily:
    """0.9: Poisson(2) and Poisson(7), half of the draws each."""
    return MixtureSameFamily(Categorical(torch.ones(2)), Poisson(torch.tensor(RATES)))


def mixture_draws(n: int = 1000, *, seed: int = 0) -> Int[Tensor, " n"]:
    """0.9 by hand: a law is drawn for each, then a count of it."""
    draw = _generator(seed)
    which = torch.randint(0, 2, (n,), generator=draw)
    return torch.poisson(torch.tensor(RATES)[which], generator=draw).long()


def mixture_pmf(counts: Float[Tensor, " j"]) -> Float[Tensor, " j"]:
    """The probabilities of the mixture: means of those of its laws."""
    return poisson_table(torch.tensor(RATES), counts).mean(dim=0)


def total_variation(draws: Int[Tensor, " n"]) -> float:
    """Half the sum of differences between the draws' shares and the mixture's probabilities."""
    shares = torch.bincount(draws, minlength=60).double() / len(draws)
    pmf = mixture_pmf(torch.arange(float(len(shares)))).double()
    return float((shares - pmf).abs().sum() / 2)


def normal_batch(*, seed: int = 0) -> Float[Tensor, "200 3"]:
    """0.10: standard normal draws."""
    return torch.randn(200, 3, generator=_generator(seed))


def grid_of_normals() -> Normal:
    """0.11: a 4 x 4 batch of normal laws of means 0 to 15 and variance 1."""
    return Normal(torch.arange(16.0).reshape(4, 4), 1.0)


def grid_draws(n: int, *, seed: int = 0) -> Float[Tensor, "n 4 4"]:
    """Draws of the 4 x 4 laws."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return grid_of_normals().sample(torch.Size((n,)))


def poisson_histogram() -> Outcome:
    """0.6: the mean of 100 draws lies within four of its standard errors, 0.21, of 4.5."""
    means = [float(poisson_draws(seed=seed).float().mean()) for seed in SEEDS]

    def draw(figure: Figure) -> None:
        counts = torch.arange(13.0)
        theory = poisson_table(torch.tensor(4.5), counts)
        draw_shares(figure.add_subplot(), poisson_draws(), counts, theory, "Poisson(4.5)")

    return Outcome([Row("mean of 100 draws of Poisson(4.5)", means, "", 3.65, 5.35)], draw)


def probabilities() -> Outcome:
    """0.7, beside the digits of two rows and torch's own law."""
    rates, counts = torch.arange(1.0, 6.0), torch.arange(5.0)
    ours = poisson_table(rates, counts)
    theirs = Poisson(rates[:, None]).log_prob(counts).exp()
    stated = max(float((ours[i - 1] - torch.tensor(row)).abs().max()) for i, row in STATED.items())
    rows = [
        Row("Poisson table, largest error of rows 1 and 5", [stated], "4 digits", 0.0, 5.1e-5),
        Row("the same to Poisson.log_prob", [float((ours - theirs).abs().max())], "", 0.0, 1e-6),
    ]
    return Outcome(rows, lambda f: draw_matrices(f, {"rates 1 to 5, counts 0 to 4": ours}))


def log_densities() -> Outcome:
    """0.8, at three places."""
    ours = gamma_log_density(torch.tensor(list(DENSITIES)))
    rows = [
        Row(f"log density of Gamma(3, 2) at {x:g}", [float(o)], f"{d:.4f}", d - 5e-5, d + 5e-5)
        for o, (x, d) in zip(ours, DENSITIES.items(), strict=True)
    ]

    def draw(figure: Figure) -> None:
        axes, x = bare(figure.add_subplot()), torch.linspace(0.02, 6, 300)
        axes.plot(x, gamma_log_density(x), color="tab:blue", label="by hand")
        torchs = Gamma(3.0, 2.0).log_prob(x)
        axes.plot(x, torchs, color="black", linestyle=":", label="torch.distributions")
        axes.plot(list(DENSITIES), list(DENSITIES.values()), "o", color="tab:red", label="stated")
        axes.set(xlabel="x", ylabel="log density of Gamma(3, 2)")
        axes.legend(frameon=False)

    return Outcome(rows, draw)


def mixture_shares() -> Outcome:
    """0.9: the distance of shares to probabilities falls as one over the root of the draws."""
    counts = torch.arange(60.0)
    theirs = mixture().log_prob(counts).exp()
    distances = {n: [total_variation(mixture_draws(n, seed=s)) for s in SEEDS] for n in N_DRAWS}
    rows = [
        Row("mixture, total variation, 1000 draws", distances[1000], "", 0.0, 0.08),
        Row("power with which it falls with draws", _powers(distances), "-1/2", -0.65, -0.35),
        Row(
            "probabilities, error to MixtureSameFamily",
            [float((mixture_pmf(counts) - theirs).abs().max())],
            "",
            0.0,
            1e-6,
        ),
    ]

    def draw(figure: Figure) -> None:
        figure.set_size_inches(9, 3.6)
        left, right = figure.subplots(1, 2)
        draw_shares(left, mixture_draws(), counts[:18], mixture_pmf(counts[:18]), "1000 draws")
        bare(right).loglog(distances.keys(), list(distances.values()), "o", color="tab:blue")
        right.set(xlabel="draws", ylabel="total variation to the probabilities")

    return Outcome(rows, draw)


def _powers(distances: dict[int, list[float]]) -> list[float]:
    """The slope of log distance over log draws, for each seed."""
    x = torch.tensor(list(distances), dtype=torch.float64).log()
    y = torch.tensor(list(distances.values()), dtype=torch.float64).log()
    x, y = x - x.mean(), y - y.mean(dim=0)
    return ((x @ y) / x.square().sum()).tolist()


def draw_shares(
    axes: Axes,
    draws: Int[Tensor, " n"],
    counts: Float[Tensor, " j"],
    theory: Float[Tensor, " j"],
    title: str,
) -> Axes:
    """The shares of draws as bars over the probabilities as points."""
    shares = torch.bincount(draws, minlength=len(counts))[: len(counts)] / len(draws)
    axes.bar(counts.numpy(), shares.numpy(), color="lightsteelblue", label=f"{len(draws)} draws")
    axes.plot(counts, theory, "o", color="tab:red", markersize=4, label="probability")
    axes.set(xlabel="count", ylabel="share", title=title)
    axes.legend(frameon=False)
    return bare(axes)


def standard_normals() -> Outcome:
    """0.10."""
    row = exactly("shape (200, 3)", tuple(normal_batch().shape) == (200, 3))

    def draw(figure: Figure) -> None:
        axes = bare(figure.add_subplot())
        axes.hist(normal_batch().T.tolist(), bins=20, density=True, label=["1st", "2nd", "3rd"])
        x = torch.linspace(-3.5, 3.5, 200)
        axes.plot(x, Normal(0.0, 1.0).log_prob(x).exp(), color="black", label="density")
        axes.set(xlabel="value", ylabel="density of 200 draws, by column")
        axes.legend(frameon=False)

    return Outcome([row], draw)


def many_means() -> Outcome:
    """0.11: of 10 000 draws, means scatter by 0.01; the farthest of 16 lies within 0.05."""
    off = [
        float((grid_draws(10_000, seed=s).mean(0) - grid_of_normals().mean).abs().max())
        for s in SEEDS
    ]
    rows = [
        exactly("shape (4, 4)", tuple(grid_of_normals().sample().shape) == (4, 4)),
        Row("means of 10000 draws, farthest from 0 to 15", off, "", 0.0, 0.05),
    ]

    def draw(figure: Figure) -> None:
        one, many = grid_draws(1)[0], grid_draws(10_000).mean(0)
        draw_matrices(figure, {"one draw": one, "mean of 10000": many})

    return Outcome(rows, draw)


def other_shapes() -> Outcome:
    """The extension of 0.7: rates of shape (2, 3) and seven counts give (2, 3, 7)."""
    rates = torch.tensor([[0.5, 1.0, 2.0], [4.0, 8.0, 16.0]])
    counts = torch.arange(7.0)
    ours = poisson_table(rates, counts)
    theirs = Poisson(rates[..., None]).log_prob(counts).exp()
    rows = [
        exactly("rates (2, 3), counts (7): shape (2, 3, 7)", tuple(ours.shape) == (2, 3, 7)),
        Row("error to Poisson.log_prob", [float((ours - theirs).abs().max())], "", 0.0, 1e-6),
    ]

    def draw(figure: Figure) -> None:
        axes = bare(figure.add_subplot())
        for rate, row in zip(rates.flatten().tolist(), ours.flatten(0, 1), strict=True):
            axes.plot(counts, row, "o-", markersize=4, label=f"rate {rate:g}")
        axes.set(xlabel="count", ylabel="probability")
        axes.legend(frameon=False)

    return Outcome(rows, draw)


EXERCISES = (
    Exercise("0.6", "Poisson draws", poisson_histogram),
    Exercise("0.7", "Poisson probabilities", probabilities),
    Exercise("0.8", "Gamma log densities", log_densities),
    Exercise("0.9", "a mixture", mixture_shares),
    Exercise("0.10", "standard normals", standard_normals),
    Exercise("0.11", "a batch of normals", many_means),
    Exercise("0.12", "other shapes", other_shapes),
)
