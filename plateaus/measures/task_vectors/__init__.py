"""Task vectors: what they encode, patched in and drawn."""
