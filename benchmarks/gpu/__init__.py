"""What a GPU makes of phi3v, in one command of a few minutes; needs the core only, no page."""
