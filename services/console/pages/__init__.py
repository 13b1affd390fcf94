"""One module a screen; each gives its routes, and asks `services.console.access` who may."""
