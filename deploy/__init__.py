"""What the deployed form stands on, brought up by `deploy/kafka` and its neighbours."""
