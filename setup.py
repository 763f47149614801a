"""Put the presets, the claims and their kept runs into the wheel, beside the package's code.

Everything else about the package is in pyproject.toml. The files have one place in the repository,
`experiments/`; `plateaus.paths.experiments` finds them there, or in an installed package.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PATTERNS = (
    "configs/*.py",
    "claims/*/*.toml",
    *(f"results/*-????????/{name}" for name in ("*.json", "*.csv", "*.csv.gz")),
)


class WithExperiments(build_py):
    """Copies what `PATTERNS` name; an editable installation has them in the repository."""

    def run(self) -> None:
        """Build the package."""
        super().run()
        if self.editable_mode:
            return
        place = Path(self.build_lib) / "plateaus" / "experiments"
        shutil.rmtree(place, ignore_errors=True)
        for path in self._experiments():
            target = place / path.relative_to("experiments")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)

    def get_source_files(self) -> list[str]:
        """Return what a source distribution holds, too."""
        return [*super().get_source_files(), *map(str, self._experiments())]

    def _experiments(self) -> list[Path]:
        return sorted(p for pattern in PATTERNS for p in Path("experiments").glob(pattern))


setup(cmdclass={"build_py": WithExperiments})
