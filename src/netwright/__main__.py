"""``python -m netwright``: the command line, also where the folder of scripts is not on the path."""

from netwright.cli import main

if __name__ == "__main__":
    main()
