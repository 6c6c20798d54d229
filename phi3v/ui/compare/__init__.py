"""Comparison of two images beside the chat of the Compare tab. Must not know the engine."""
