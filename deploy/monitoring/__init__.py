"""Prometheus and Grafana as files: scraping, alarms, the dashboard and what it is made from."""
