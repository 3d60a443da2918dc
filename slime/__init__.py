"""From a slime-mold movie in zarr to a next-frame forecast that can be trusted.

Read the modules in the order the data takes: movie, audit, split, windows, stream, scale, nets,
stepper, score, fit, report.
"""

__version__ = "0.1.0"
