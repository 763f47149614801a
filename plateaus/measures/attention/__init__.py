"""Where attention heads look, and the loss without them."""
