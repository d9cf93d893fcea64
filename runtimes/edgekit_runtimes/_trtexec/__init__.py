"""TensorRT's ``trtexec`` on a device: the commands, what it prints, and which engines a device may load."""
