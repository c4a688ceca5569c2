"""Scores as probabilities: fitted scaling, reliability curves, expected calibration error."""
