"""Families of functions to be learned in context, each with what is exactly known of it."""
