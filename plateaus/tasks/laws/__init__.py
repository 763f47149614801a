"""The laws: what a world is, how an example is drawn, which predictors are ideal."""
