"""`python -m benchmarks NAME …` runs a study; without a name, the studies there are."""

import runpy
import sys
from pathlib import Path


def main() -> None:
    """Run the study that is named."""
    folder = Path(__file__).parent
    studies = sorted(path.stem for path in folder.glob("[a-z]*.py"))
    if len(sys.argv) < 2 or sys.argv[1].replace("-", "_") not in studies:
        sys.exit(f"usage: python -m benchmarks NAME …   (studies: {', '.join(studies)})")
    name = sys.argv.pop(1).replace("-", "_")
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
