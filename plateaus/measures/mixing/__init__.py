"""Adaptive mixing: weights, costs, domains."""
