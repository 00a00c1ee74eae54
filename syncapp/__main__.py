"""`python -m syncapp`: the same as the command `syncapp`, for where no scripts are installed."""

from syncapp.cli.main import main

main()
