"""What several laws share: questions, points, predictors, baselines."""
