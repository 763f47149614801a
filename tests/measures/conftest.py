"""The synthetic results of tests/report, for what shows here what was measured."""

import importlib.util
from pathlib import Path

_PATH = Path(__file__).parents[1] / "report" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("synthetic_results", _PATH)
_RESULTS = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_RESULTS)

make_results, zipf_results = _RESULTS.make_results, _RESULTS.zipf_results
make_mixed, mixed_results = _RESULTS.make_mixed, _RESULTS.mixed_results
everything = _RESULTS.everything
