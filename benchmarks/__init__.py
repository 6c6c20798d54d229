"""Prints the figures that the README quotes: this engine beside plain generate, in one process."""
