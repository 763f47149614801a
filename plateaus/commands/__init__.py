"""The command `plateaus`: its parts, each a program of its own; the top floor."""
