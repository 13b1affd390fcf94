"""The demo: a small synthetic town's day through the whole pipeline, told as it happens."""
