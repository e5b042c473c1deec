"""Checks and helpers for the repository itself; nothing here is published."""
