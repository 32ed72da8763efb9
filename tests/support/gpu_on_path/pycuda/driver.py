"""`import pycuda.driver` in a process whose PYTHONPATH begins with this folder: the double, for that process's doubled GPU."""

import sys

from doubled_gpu import CUDA

CUDA.__spec__ = __spec__
sys.modules[__name__] = CUDA
