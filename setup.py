"""The compiled part of fastrnn: one source, built once for each instruction set and precision.

FASTRNN_BUILD=avx2:float32,base:float64 builds only the named modules: for development, where one is enough.
"""

import os
import platform
import sys

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

X86 = platform.machine().lower() in ("x86_64", "amd64", "i686", "x86")
MSVC = sys.platform == "win32"

# No flag here ties a module to the machine it is built on: which one is used is decided when it is loaded.
INSTRUCTION_SETS = {
    "base": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mfma", "-mprefer-vector-width=512"],
}
PRECISIONS = {"float32": [], "float64": [("FASTRNN_DOUBLE", "1")]}

COMPILE = ["/O2"] if MSVC else [
    "-O3", "-g0", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math",
    "-Wall", "-Wno-psabi", "-Wno-unused-function",
]  # fmt: skip
LINK = ["-pthread", "-Wl,--strip-all"] if sys.platform == "linux" else []

ENGINE = "src/fastrnn/_engine"
DEPENDS = [
    os.path.join(folder, name)
    for folder in ("csrc", ENGINE)
    for name in sorted(os.listdir(folder))
    if name.endswith((".h", ".pxi"))
]


def module(name: str, macros: list, flags: list, sources: tuple = ()) -> Extension:
    return Extension(
        f"fastrnn._engine.{name}",
        [f"{ENGINE}/{name}.pyx", *sources],
        include_dirs=["csrc", numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"), *macros],
        extra_compile_args=COMPILE + flags,
        extra_link_args=LINK,
        depends=DEPENDS,
    )


def modules() -> list[Extension]:
    sets = INSTRUCTION_SETS if X86 and not MSVC else {"base": []}
    wanted = [(isa, dtype) for isa in sets for dtype in PRECISIONS]
    if "FASTRNN_BUILD" in os.environ:
        wanted = [tuple(pair.split(":")) for pair in os.environ["FASTRNN_BUILD"].split(",")]
    return [module("_cpu", [], []), module("_team", [], [], ("csrc/team.c",))] + [
        module(f"_{dtype}_{isa}", PRECISIONS[dtype], sets[isa]) for isa, dtype in wanted
    ]


setup(
    ext_modules=cythonize(
        modules(),
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
        },
        include_path=[ENGINE],
    ),
    options={"build_ext": {"parallel": os.cpu_count()}},
)
