"""Cosines, norms and noise of gradients."""
