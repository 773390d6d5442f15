"""`torch`, or None where it is not installed.

To be imported before TensorFlow, with its compiler: the other way round the process dies.
"""

try:
    import torch
    import torch._inductor.runtime.triton_compat
except ImportError:
    torch = None
