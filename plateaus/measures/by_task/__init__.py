"""Each task of a mixture: when it is learned."""
