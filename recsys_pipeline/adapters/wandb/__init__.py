"""Weights & Biases: the tracker of a run, and the mirror that is sent later."""
