"""A synthetic town: people, a year of changes and planted stories, all drawn by one seed.

Nobody in it lives: names begin with 测试-, ids with `syn-`, phones with 000, area codes with 99,
and every change says `source: synthetic`. Where its shares and rates come from: docs/town.md.
"""
