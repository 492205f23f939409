"""A seeded fault suite over the real stack: `make chaos` is the long run, `test_chaos.py` the short one."""
