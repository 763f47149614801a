"""The made-up results of tests/report, here too."""

import importlib.util
from pathlib import Path

_PATH = Path(__file__).parents[1] / "report" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("synthetic_results_of_commands", _PATH)
_RESULTS = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_RESULTS)

zipf_results = _RESULTS.zipf_results
