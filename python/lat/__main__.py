"""`python -m lat ARGUMENTS` is the program `lat`."""

from .program import main

if __name__ == "__main__":
    main()
