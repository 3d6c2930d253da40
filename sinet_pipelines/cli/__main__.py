"""`python -m sinet_pipelines.cli`: `sinet` without its script, whose first line names a folder that may have moved."""

from sinet_pipelines.cli.main import main

if __name__ == "__main__":
    main()
