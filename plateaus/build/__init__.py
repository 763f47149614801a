"""From names and numbers of a config to the parts of a run."""
