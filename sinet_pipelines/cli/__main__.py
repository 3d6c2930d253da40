"""`python -m sinet_pipelines.cli`: runs `sinet` without its script, whose first line may name a moved folder."""

from sinet_pipelines.cli.main import main

if __name__ == "__main__":
    main()
