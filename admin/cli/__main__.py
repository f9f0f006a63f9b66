"""`python -m admin.cli`: how the supervisor starts its children, whatever is on PATH."""

from admin.cli import main

if __name__ == "__main__":
    main()
