"""Sweeps: wandb's own sweep file, run on this machine without a server."""
