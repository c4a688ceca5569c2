"""Matrix factorisation with one objective: exact and blockwise alternating least squares, Optax, and their twins."""
