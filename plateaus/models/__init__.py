"""Networks; the only place that imports Flax."""
