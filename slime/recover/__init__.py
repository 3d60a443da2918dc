"""The physics of a movie: rates of the reaction and the diffusion, from what was filmed."""
