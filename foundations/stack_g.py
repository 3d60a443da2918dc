"""Stack G: G1 to G8 in their order; each stands in a module of its own kind."""

from foundations import coordinates, ppca, sparse, tuning

EXERCISES = tuple(
    sorted(
        (*tuning.EXERCISES, *sparse.EXERCISES, *coordinates.EXERCISES, *ppca.EXERCISES),
        key=lambda exercise: exercise.id,
    )
)
