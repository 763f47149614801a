"""The design: which examples are drawn, how often, when."""
