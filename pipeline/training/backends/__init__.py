"""What depends on Keras' backend: the training step and the devices."""
