"""The running of one estate: observe in bulk, decide, record, carry out. Start reading at `keeper.py`."""
