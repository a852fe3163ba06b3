"""What is learned: one file a model. Training code; serving runs the ONNX that `export` makes of it."""
