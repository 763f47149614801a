"""Ask a language model on disk about prompts of several tasks: `real_models.py DIR --set pair`."""

import sys

try:
    from plateaus.real_models.main import main
except ModuleNotFoundError as error:
    if error.name != "plateaus":
        raise
    print("error: plateaus is not installed; run `pip install -e .` first", file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
