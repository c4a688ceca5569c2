"""Bayesian matrix factorisation by Gibbs sampling: factors, biases, implicit histories and time."""
