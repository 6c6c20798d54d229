"""The command `phi3v`, also as `python -m phi3v`: the page or the command line."""

import sys


def main() -> int:
    """Run a command and return its exit code; see `phi3v --help`."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["serve"]:
        from phi3v.ui.serving import serve

        serve(arguments[1:])
        return 0
    from phi3v.cli.main import main as run_command

    return run_command(arguments)


if __name__ == "__main__":
    sys.exit(main())
