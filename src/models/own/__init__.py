"""Networks that are in no library, one file each: the file's name is the network's name.

A file defines ``build(num_classes, **options)``. It returns a module that maps images (N, 3, H, W)
to logits (N, num_classes). ``docs/extending.md`` has an example. ``model=own/NAME`` trains it.
"""
