"""Run a preset of a config: `python experiments/run.py --config=configs/sparse_parity.py`."""

import sys

try:
    from plateaus.jobs.cli import main
except ModuleNotFoundError as error:
    if error.name != "plateaus":
        raise
    print("error: plateaus is not installed; run `pip install -e .` first", file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
