"""The top floor: from a config to results on disk."""
