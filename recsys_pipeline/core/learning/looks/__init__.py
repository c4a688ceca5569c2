"""Training of the shop-the-look towers: pixels, triplets, losses, checkpoints."""
