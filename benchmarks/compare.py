"""python benchmarks/compare.py baseline.json new.json: fail where a ratio fell; see `fastrnn.bench.compare`."""

import sys

from fastrnn.bench.compare import main

sys.exit(main())
