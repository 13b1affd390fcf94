"""What every page stands on: the edge, the visit, forms, rendering, errors as pages."""
