"""The networks, one a file, and the pretrained encoders that some of them share."""
