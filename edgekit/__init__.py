"""Make a PyTorch or Keras model small and fast for one named device, and prove it still answers the same."""
