"""Plateaus: what shortens the loss plateau, as pure JAX functions and honest statistics."""
