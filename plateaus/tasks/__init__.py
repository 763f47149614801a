"""The law: what a world is, how an example is drawn, what an ideal predictor says."""
