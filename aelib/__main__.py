"""`python -m aelib`: the same as the command `aelib`."""

from aelib.cli import main

if __name__ == "__main__":
    main()
