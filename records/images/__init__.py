"""Image files to arrays: decoding, the field of view, lesions as regions, drawing."""
