"""Variants of the reference stacks, which together use every setting, and their validation (``make variants``)."""
