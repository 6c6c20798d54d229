"""The command line's parts; what they print is for people on a terminal and for programs' pipes."""
