"""Real text: folders, streams, windows, tokenizers."""
