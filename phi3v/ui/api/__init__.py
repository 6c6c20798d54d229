"""Endpoints and tools that programs and agents call."""
