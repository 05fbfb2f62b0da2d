"""Runs things and owns state; names no vendor."""
