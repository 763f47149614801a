"""Configs: their fields, and how they are read; imports no jax."""
