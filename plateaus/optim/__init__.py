"""What is done to the gradient."""
