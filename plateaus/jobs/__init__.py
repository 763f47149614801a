"""A command's runs on devices and disk: chunks, checkpoints, results."""
