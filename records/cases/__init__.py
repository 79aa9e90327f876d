"""Which photographs and masks a folder holds, what they are like, and in which split each one is."""
