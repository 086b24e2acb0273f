"""``python -m stagesync``: the command line where no script is installed."""

from stagesync.cli.main import main

if __name__ == "__main__":
    main()
