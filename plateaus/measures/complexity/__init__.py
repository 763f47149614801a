"""How degenerate the loss is about the weights: the local learning coefficient."""
