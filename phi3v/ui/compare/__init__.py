"""Comparison of two pictures beside the chat."""
