"""The risk model as a tool: train, evaluate, score and explain on any table, by one default recipe.

Consumes a table (CSV, gzip, Parquet) and an optional features file. Produces a model folder that
`services.risk.adapters.sklearn_model` loads at run time. Never imported by the running service.
"""
