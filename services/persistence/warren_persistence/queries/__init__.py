"""Reads, asked over the broker and judged by who asks."""
