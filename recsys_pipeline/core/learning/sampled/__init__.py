"""Matrix factorisation by sampled losses: mini-batches, negatives drawn anew, sparse updates."""
