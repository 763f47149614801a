"""Prompts that mix tasks, asked of pretrained language models."""
