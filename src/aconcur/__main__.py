"""``python -m aconcur`` is the command ``aconcur``."""

from aconcur.cli import main

if __name__ == "__main__":
    main()
