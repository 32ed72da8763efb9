"""`import tensorrt` in a process whose PYTHONPATH begins with this folder: the double, for that process's doubled GPU."""

import sys

from doubled_gpu import TRT, at

at("import")
TRT.__spec__ = __spec__
sys.modules[__name__] = TRT
