"""The code behind `deploy/kafka`, `deploy/postgres`, `deploy/prometheus` and `deploy/chromium`.

Standard library only: these commands run with a bare Python 3.11, before there is a virtual
environment. They import nothing from `services`, and `services` imports nothing from here: the two
meet at an address.
"""
