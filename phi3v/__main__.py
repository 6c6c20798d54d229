"""The command line: `python -m phi3v --help`."""

import sys

from phi3v.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
