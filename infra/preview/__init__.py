"""Summary of ``pulumi preview`` for the reviewer of a pull request: ``fabric preview summarize``."""
