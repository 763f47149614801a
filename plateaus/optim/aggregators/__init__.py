"""From the inner products of B gradients to the weights of their combination, one file a family."""
