"""The laws: what a world is, how an example is drawn, what predictors say of it."""
