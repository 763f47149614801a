"""Gram matrices of gradients, from the program of one example's gradient."""
