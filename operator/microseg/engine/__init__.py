"""The engine: reconciles one estate. Start reading at `reconciler.py`; `build.py` shows all parts at once."""
