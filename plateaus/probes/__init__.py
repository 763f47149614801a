"""Probes: what is measured on a run, from its curves or its activations."""
