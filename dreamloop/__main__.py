"""``python -m dreamloop`` is the same program as ``dreamloop``."""

from dreamloop.cli import main

main()
