"""The controls that a run must survive; what they ask of any model stands in foundations."""

from slime.sanity.asking import after_training, before_training, outcome_text, write_controls
from slime.sanity.setting import Setting

__all__ = ["Setting", "after_training", "before_training", "outcome_text", "write_controls"]
