"""Languages of random automata: their families, and what is expected of their strings."""
