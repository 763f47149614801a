"""Claims as data, and the rule by which they are decided. No jax."""
