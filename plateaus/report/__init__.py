"""Reports: statistics, tables, figures and sinks over labelled results; imports no jax."""
