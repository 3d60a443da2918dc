"""The steps of lattice.c, compiled for this processor by the C compiler at hand.

torch reads and writes every field once for each sum; these steps do it once for all, on one core.
A build takes a third of a second and is not kept: a kept one could meet another processor.
"""

import hashlib
import os
import shlex
import subprocess
from collections.abc import Callable, Sequence
from ctypes import CDLL, c_double, c_int64, c_void_p
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("lattice.c")
COMPILERS = ("cc", "gcc", "clang")
# no contraction: a cell is rounded alike in the middle of a vector and at the end of a row
FLAGS = ("-O3", "-std=c99", "-fPIC", "-shared", "-s", "-ffp-contract=off", "-fno-trapping-math")
NATIVE = "-march=native"
REALS = {torch.float32: "float", torch.float64: "double"}
TIMEOUT_S = 60


class NoKernelError(Exception):
    """No compiled steps can be had here; one line says why."""


class Kernel(NamedTuple):
    """The compiled steps for fields of one type on the CPU.

    Attributes:
        compiler: what the compiler says of itself, in one line.
        digest: of the machine code; the same digest gives the same bits.
    """

    code: CDLL
    dtype: torch.dtype
    compiler: str
    digest: str

    def prepared(
        self,
        name: str,
        fields: Sequence[Tensor],
        sizes: Sequence[int],
        constants: Sequence[float],
    ) -> Callable[[], None]:
        """A call of one function of lattice.c, to be repeated; it changes the fields in place.

        Raises:
            ValueError: a field is not contiguous, of another type or not on the CPU.
        """
        for field in fields:
            if field.dtype != self.dtype or field.device.type != "cpu" or not field.is_contiguous():
                raise ValueError(
                    f"a field is {field.dtype} on {field.device} with strides {field.stride()}; "
                    f"compiled steps need {self.dtype} on the CPU, contiguous"
                )
        function, held = self.code[name], list(fields)  # only addresses are handed over
        pointers = (c_void_p * len(held))(*(field.data_ptr() for field in held))
        lengths = (c_int64 * len(sizes))(*sizes)
        numbers = (c_double * len(constants))(*constants)

        def call(held: Sequence[Tensor] = held) -> None:
            function(pointers, lengths, numbers)

        return call

    def run(
        self,
        name: str,
        fields: Sequence[Tensor],
        sizes: Sequence[int],
        constants: Sequence[float],
    ) -> None:
        """Call one function of lattice.c once; see `prepared`."""
        self.prepared(name, fields, sizes, constants)()


def build_kernel(dtype: torch.dtype = torch.float32) -> Kernel:
    """The steps for fields of a type, compiled once a process, by $CC or the first one found.

    Raises:
        NoKernelError: there is no compiler, it fails, or what it makes cannot be loaded.
    """
    given = os.environ.get("CC", "").strip()
    reasons = []
    for words in [given] if given else COMPILERS:
        try:
            return _built(words, dtype)
        except NoKernelError as error:
            reasons.append(str(error))
    raise NoKernelError("; ".join(reasons))


@lru_cache(maxsize=8)
def _built(compiler: str, dtype: torch.dtype) -> Kernel:
    words = shlex.split(compiler)
    said = _call([*words, "--version"]).partition("\n")[0].strip()
    # a loaded library cannot be removed on Windows
    with TemporaryDirectory(prefix="slime-", ignore_cleanup_errors=True) as folder:
        out = Path(folder) / "lattice.so"
        order = [*words, *FLAGS, f"-DREAL={REALS[dtype]}", str(SOURCE), "-o", str(out), "-lm"]
        try:
            _call([*order, NATIVE])
        except NoKernelError:  # not every compiler knows its processor
            _call(order)
        try:
            digest = hashlib.sha256(out.read_bytes()).hexdigest()[:12]
            return Kernel(CDLL(str(out)), dtype, said, digest)
        except OSError as error:
            reason = str(error).replace(folder, "").splitlines()[0]
            raise NoKernelError(f"what {compiler} made cannot be loaded: {reason}") from error


def _call(words: Sequence[str]) -> str:
    """What a command prints; NoKernelError with the last thing it says if it fails."""
    try:
        return subprocess.run(
            words, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        ).stdout
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["nothing said"])[-1]
        raise NoKernelError(f"{words[0]} ended with {error.returncode}: {last[:160]}") from error
    except subprocess.TimeoutExpired as error:
        raise NoKernelError(f"{words[0]} did not end in {TIMEOUT_S} s") from error
    except OSError as error:
        raise NoKernelError(f"{words[0]} cannot be run: {error.strerror}") from error
