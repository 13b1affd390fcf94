"""What stands between the service and the ground it runs on."""
