"""edgekit on microcontrollers: a firmware with kernels of its own, the plan it runs, and the emulated boards that count it."""
