"""Prompts that mix tasks: what is answered."""
