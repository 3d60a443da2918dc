"""A movie, or a run's forecast beside the truth, in the browser; nothing leaves this machine."""
