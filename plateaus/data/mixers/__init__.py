"""Rules that adapt the mixture of groups: pairs of pure functions, one file each."""
