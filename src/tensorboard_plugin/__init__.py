"""TensorBoard's tab ``Lightship``: the profile, the traces and the exported files of each run."""
